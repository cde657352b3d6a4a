"""The database declared as data, and what compares, applies and checks it."""
