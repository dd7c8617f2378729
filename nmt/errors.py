"""The one exception that stands for a mistake of the user rather than of the program."""

from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Bad input or wrong use. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class TrainingError(Exception):
    """Work that failed or was stopped although the input was right; one line, exit status 1."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)` if one of the known words is close to the given one, otherwise nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1, 0.7)
    return f" (did you mean `{close[0]}`?)" if close else ""


def similar_path(path: str) -> str:
    """The same for a path that does not exist: each part is looked for among the files that are there."""
    from difflib import get_close_matches

    found = Path()
    for part in Path(path).expanduser().parts:
        if not (found / part).exists():
            try:
                close = get_close_matches(part, [other.name for other in found.iterdir()], 1, 0.7)
            except OSError:
                return ""
            if not close:
                return ""
            part = close[0]
        found /= part
    return f" (did you mean `{found}`?)"
