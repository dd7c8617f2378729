"""Errors that are the user's and not the program's, and work that failed."""

import os
import shlex
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_LINE_ENDS = {ord(sign): ascii(sign)[1:-1] for sign in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}


class _OneLine(Exception):
    """An error whose message is one line, even where it quotes a name that has line ends: they are shown as `\\n`."""

    def __init__(self, message: str) -> None:
        super().__init__(message.translate(_LINE_ENDS))


class UserError(_OneLine):
    """Wrong input or usage. The message is one line: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class TrainingError(_OneLine):
    """Work that failed or was stopped although the input was correct; one line, exit status 1."""


def listed(names: Sequence[str]) -> str:
    """The first 20 names for a message, each of at most 40 characters; `none` if there are none."""
    more = [f"and {len(names) - 20:,} more"] if len(names) > 20 else []
    return ", ".join([name[:40] for name in names[:20]] + more) or "none"


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that is most similar to the given one; empty if none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1, 0.7)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)` if one of the known words is similar to the given one, otherwise empty."""
    close = closest(word, known)
    return f" (did you mean `{close}`?)" if close else ""


def similar_path(path: str) -> str:
    """The same for a path that does not exist: each part is compared with the existing files."""
    found = Path()
    for part in Path(path).expanduser().parts:
        if not (found / part).exists():
            try:
                part = closest(part, [other.name for other in found.iterdir()])
            except OSError:
                return ""
            if not part:
                return ""
        found /= part
    return f" (did you mean `{found}`?)"


def how_to_install(what: str) -> str:
    """The command that installs a package or an extra (`[train]`), with the tested versions in a clone."""
    clone = Path(__file__).parent.parent
    if not (clone / "constraints.txt").is_file():
        return f"pip install {shlex.quote(f'recurrent-nmt{what}') if what.startswith('[') else what}"
    is_here = os.path.realpath(clone) == os.getcwd()
    versions = shlex.quote("constraints.txt" if is_here else str(clone / "constraints.txt"))
    if what.startswith("["):
        what = "-e " + shlex.quote(f"{'.' if is_here else clone}{what}")
    return f"pip install -c {versions} {what}"


def imported(module: str, what: str, install: str) -> Any:
    """A module of an optional package; raises UserError if it is not installed.

    what: the subject, its verb and the package: "pictures need matplotlib"
    install: as `how_to_install` takes it
    """
    try:
        return import_module(module)
    except ImportError:
        raise UserError(f"{what}, which is not installed: {how_to_install(install)}") from None


def needs_attention(what: str, advice: str = "", model: str = "this one has none") -> UserError:
    """The error for asking a model without attention for something that needs attention.

    what: the subject and its verb: "`replace_unknown` needs"
    advice: what to do instead, as the end of the sentence
    model: which model has no attention, and how the user can see that
    """
    return UserError(f"{what} a model with attention, but {model}{advice}")
