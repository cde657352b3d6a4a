"""Search: the index of messages, the indexer that fills it, and queries."""
