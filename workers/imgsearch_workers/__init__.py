"""The processes that compute embeddings: the only place that imports torch."""
