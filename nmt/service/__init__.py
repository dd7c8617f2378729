"""`nmt serve`: an HTTP service that translates text and files, without torch."""
