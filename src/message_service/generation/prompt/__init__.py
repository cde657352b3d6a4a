"""Prompts: declared sections with budgets, and what a model is sent of them."""
