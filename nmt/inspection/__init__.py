"""Pictures of what a model does: one module for each `nmt inspect WHAT`.

Each module has a function that examines a model, or trains some, and returns a `pages.Inspection`: a picture, its
numbers, and the text of the page. `pages` writes these; `watching` opens models and records what their cells do.
"""
