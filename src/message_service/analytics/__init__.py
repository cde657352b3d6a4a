"""Summaries of messages per day, week and month: rolled up, checked against their source, read."""
