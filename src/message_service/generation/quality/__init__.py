"""Scores of a model's reply, computed from its text alone: one file for each evaluator."""
