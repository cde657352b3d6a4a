"""Providers' usage exports compared with the messages."""
