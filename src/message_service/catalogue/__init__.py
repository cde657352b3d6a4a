"""The database as data, and nothing that acts: collections, indexes, views, queries."""
