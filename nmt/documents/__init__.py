"""Translation of documents: Word, OpenDocument, PowerPoint, Excel, e-books, web pages, subtitles, catalogues and more.

A document is text with segments in it. Each format is a file here with a function that finds the segments; everything
between them is written as it was, character by character.
"""

from nmt.documents.document import SUFFIXES, Document, open_document, output_path, translate_document, with_translator

__all__ = ["SUFFIXES", "Document", "open_document", "output_path", "translate_document", "with_translator"]
