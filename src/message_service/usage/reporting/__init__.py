"""Usage reports, made from the messages themselves."""
