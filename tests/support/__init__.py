"""What the tests share: bounded waits, processes, guards against hanging and leftovers."""
