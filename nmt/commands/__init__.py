"""The commands, one file each: a description and an example for `--help`, the options, and `run`.

torch and datasets are imported only inside the functions that need them, so that `translate` starts quickly.
"""
