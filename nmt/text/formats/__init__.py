"""Readers of the files that translations come in. Each format is a file here with a function `read`.

`nmt.text.formats.finding` finds the files and their formats. A reader yields a `Pair` for every translation of a file,
also for those that it leaves out, which say why. No reader needs torch; the libraries are those of the extra `import`.
"""
