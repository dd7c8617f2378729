"""Training data: where pairs and texts come from, how they are filtered, cached and batched."""
