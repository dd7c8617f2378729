"""The network in torch: cells, layers, attention, encoder, decoder, loss."""
