"""The commands, a file each: what it is told, its options, and what it does with them.

torch and datasets are imported only inside the functions that need them, so that `translate` starts at once.
"""
