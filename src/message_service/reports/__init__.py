"""Reports of any kind: their columns, the files and charts made of them, days in time zones."""
