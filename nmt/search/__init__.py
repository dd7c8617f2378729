"""Search over an engine, in numpy: beam search, sampling, constraints, ensembles, reranking."""
