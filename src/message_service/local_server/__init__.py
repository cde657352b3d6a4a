"""The local MongoDB server on this machine: find, start as a replica set, check, stop."""
