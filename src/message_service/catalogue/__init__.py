"""The database declared as data: collections, indexes, views, queries, followers."""
