"""The training loop, its run folder, optimisers, averaging of weights, data diversification."""
