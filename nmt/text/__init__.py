"""Text: reading files, cleaning lines, splitting sentences, vocabularies and segmentation into pieces."""
