"""Training data: the sources of pairs and texts, filtering, caching and batching."""
