"""Training: the loop, its run folder, optimisers, checkpoint averaging, data diversification."""
