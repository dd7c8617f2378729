"""Translation of text without torch: the Translator, lines in and out, the ONNX engine, the shortlist."""
