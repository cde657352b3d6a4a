"""The driver: client, store and scopes, transactions, leases, error translation."""
