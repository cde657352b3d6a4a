"""Replies of a model: providers, prompts, streams, and the job that stores a reply exactly once."""
