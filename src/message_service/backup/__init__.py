"""Copies of a whole database, and back."""
