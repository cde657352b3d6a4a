"""A MongoDB of our own on this machine: found, started as a replica set, watched, stopped."""
