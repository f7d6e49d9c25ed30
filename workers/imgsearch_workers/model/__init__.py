"""The encoder: the only room that knows torch."""
