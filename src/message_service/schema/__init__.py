"""Brings a database to the declared catalogue, and compares, checks and reports on it."""
