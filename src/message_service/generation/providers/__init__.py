"""The providers: one file each, found by `generation.known_providers`."""
