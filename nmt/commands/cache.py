"""`nmt cache`: lists or removes the preprocessed data that are kept for the next training."""

from __future__ import annotations

import argparse
import time

from nmt.commands.streams import print_lines, say

TEXT = (
    "List or remove the preprocessed data that are kept for the next training. Data that have not been used for 60 "
    "days are removed automatically, and beyond a total of 20 GB also those that have been unused for longest."
)
EXAMPLE = "nmt cache --clear"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove all of them; they are made again when needed")


def run(options: argparse.Namespace) -> None:
    from nmt.data.cache_folder import cache_folder, entries, prune, remove

    folder = cache_folder()
    if not options.clear:
        prune(folder)
    found = entries(folder)
    size = sum(entry.size for entry in found)
    if options.clear:
        remove(folder, [entry.name for entry in found])
        prune(folder)
        say(f"`{folder}`: {len(found)} entries removed, {size / 1e6:,.1f} MB")
        return
    say(f"`{folder}`: {len(found)} entries, {size / 1e6:,.1f} MB (NMT_CACHE names another folder)")
    now = time.time()
    print_lines(f"{e.size / 1e6:10,.1f} MB  used {(now - e.used) / 86400:5.1f} days ago  {e.name}" for e in found)
