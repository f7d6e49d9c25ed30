"""One migration: attach."""
