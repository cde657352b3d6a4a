"""The formats that can be imported: one file each, found by `known_formats`."""
