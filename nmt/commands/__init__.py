"""The commands, one file each: a description and an example for `--help`, `add_options` for its parser, and `run`.

torch and datasets are imported only inside the functions that need them, so that `translate` starts quickly.
"""
