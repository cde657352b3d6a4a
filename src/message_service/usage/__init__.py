"""Tokens and money: what providers report, what it costs, and who has spent how much."""
