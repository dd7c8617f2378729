"""What a model does, as pictures: one module for each `nmt inspect WHAT`.

Each has one function that looks at a model, or trains some, and returns a `pages.Inspection`: a picture, the numbers in
it, and what a page says around it. `pages` writes these, `watching` opens models and looks into their cells.
"""
