"""`nmt export`: a trained network as ONNX graphs, with a lexical table for the shortlist."""
