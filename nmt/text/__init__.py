"""Text: reading files, cleaning lines, splitting sentences, vocabularies and the pieces they cut text into."""
