"""Event types that are known by name, with samples."""
