"""Which files are meant, and what format each of them has."""

from __future__ import annotations

import glob
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from nmt.errors import UserError, similar_path
from nmt.text import formats
from nmt.text.files import open_plain, open_text, plain_name, readable
from nmt.text.formats.languages import base, is_code, is_language, normal_code
from nmt.text.formats.pair import Format, Pair, Reading
from nmt.text.reading import iterate_parallel

HEAD = 1024  # bytes that are looked at to know a format


_MODULES = (
    import_module(f"{formats.__name__}.{one.name}") for one in iter_modules(formats.__path__) if one.name != "finding"
)
FORMATS: dict[str, Format] = {own.name: own for module in _MODULES for own in vars(module).get("FORMATS", ())}
"""Everything that is read, except two plain files with a language each."""
_SPREADSHEETS = (".xls", ".xlsx", ".xlsm", ".ods")
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
"""The first bytes of .xls, and of .xlsx with a password."""
_ROOTS = {b"tmx": "TMX", b"xliff": "XLIFF", b"martif": "TBX", b"tbx": "TBX"}


@dataclass(frozen=True)
class Found:
    """A file of translations, or two files of parallel text."""

    paths: tuple[str, ...]
    format: str = ""  # a key of `FORMATS`; empty for parallel text

    def __str__(self) -> str:
        return " and ".join(f"`{path}`" for path in self.paths)

    def read(self, reading: Reading) -> Iterator[Pair]:
        if self.format:
            return FORMATS[self.format].read(self.paths[0], reading)
        lines = enumerate(iterate_parallel(*self.paths), start=1)
        return (Pair(source, target, f"line {number}") for number, (source, target) in lines)


def find_files(names: Sequence[str], reading: Reading) -> tuple[list[Found], Reading]:
    """The files that are meant by paths, folders and patterns, and the reading with the languages that are in them.

    Raises UserError when there is none, when two text files cannot be matched, and when the languages are not clear.
    """
    found: list[Found] = []
    texts: list[str] = []
    optional: list[str] = []
    for path, is_named in _expand(names).items():
        if kind := find_format(path):
            found.append(Found((path,), kind))
        else:
            (texts if is_named else optional).append(path)
    reading = _with_languages(reading, found, texts or optional)
    found += _side_by_side(texts, reading, must_match=True)
    found += _side_by_side(optional, reading, must_match=False)
    if not found:
        raise UserError(f"{', '.join(f'`{name}`' for name in names)}: no file of a known format is there")
    return found, reading


def _expand(names: Sequence[str]) -> dict[str, bool]:
    """Each file, and whether it was named itself and not found in a folder."""
    found: dict[str, bool] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            inside = [file for file in inside if not file.name.startswith((".", "~$"))]  # ~$: open in Excel
            found |= {str(file): False for file in inside if str(file) not in found}
        elif path.exists():
            found[str(path)] = True
        elif matching := sorted(glob.glob(str(path), recursive=True)):
            found |= {file: True for file in matching if Path(file).is_file()}
        else:
            raise UserError(f"`{name}` does not exist{similar_path(name)}")
    return found


def find_format(path: str) -> str:
    """The format of a file, by its first bytes and by its name; empty if it may be plain text."""
    with readable(path), open_plain(path) as file:
        head = file.read(HEAD)
    if head.startswith(b"PAR1"):
        return "Parquet"
    suffix = Path(plain_name(path)).suffix.lower()
    if head.startswith(b"PK\x03\x04") and (suffix in FORMATS["xlsx"].suffixes or _is_workbook(path)):
        return "xlsx"
    if root := re.search(rb"<(?:\w+:)?(tmx|xliff|martif|tbx)[\s>]", head.replace(b"\0", b"")):
        return _ROOTS[root[1]]
    if head.startswith(_OLD_OFFICE):
        return ""
    by_name = next((name for name, own in FORMATS.items() if suffix in own.suffixes), "")
    lines = head.decode("utf-8", "replace").split("\n")[:-1]
    return by_name or ("table" if lines and all("\t" in line for line in lines) else "")


def _is_workbook(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith("xl/") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _with_languages(reading: Reading, found: Sequence[Found], texts: Sequence[str]) -> Reading:
    """The reading with the languages of the first file that names two.

    Their regions are left out, unless these are the difference: `de` and `en` for `de-DE` and `en-US`.
    """
    for code in filter(None, (reading.source, reading.target)):
        if not re.fullmatch(r"[\w-]+", code):
            raise UserError(f"a language must be a code such as `de` or `pt-BR`, but is `{code}` instead")
    if reading.source and reading.target:
        if normal_code(reading.source) == normal_code(reading.target):
            raise UserError(f"--source and --target must be two languages, but both are `{reading.source}`")
        return reading
    own: list[str] = []
    silent = replace(reading, say=lambda line: None)
    for file in found:
        own = max(own, FORMATS[file.format].languages(file.paths[0], silent), key=len)
        if len(own) > 1:
            break
    if not own and texts:
        own = [code for code in dict.fromkeys(_stem_and_language(path)[1] for path in texts) if is_code(code)]
    known = [code for code in (reading.source, reading.target) if code]
    if known:
        own = [code for code in own if not is_language(code, known[0]) and not is_language(known[0], code)]
    bases = [code for code in dict.fromkeys(map(base, own)) if code not in map(base, known)]
    own = bases if len(bases) == 2 - len(known) else own
    if len(own) != 2 - len(known):
        languages = f": the languages there are {', '.join(own)}" if own else ""
        raise UserError(f"set --source and --target, the two languages{languages}")
    source, target = (reading.source or own[0], reading.target or own[-1])
    reading.say(f"source language `{source}`, target language `{target}`; --source and --target change that")
    return replace(reading, source=source, target=target)


def _stem_and_language(path: str) -> tuple[str, str]:
    """The name of a text file without its language, and what may be its language: `x` and `de` of `x.de.txt`."""
    stem, _, suffix = plain_name(path).removesuffix(".txt").rpartition(".")
    return stem, suffix


def _side_by_side(texts: Sequence[str], reading: Reading, must_match: bool) -> Iterator[Found]:
    """Parallel text: files whose names are the same but for the language at the end, or the only two files."""
    sides: dict[str, dict[str, str]] = {}
    for path in texts:
        stem, suffix = _stem_and_language(path)
        language = next((side for side in (reading.source, reading.target) if is_language(suffix, side)), "")
        sides.setdefault(str(Path(path).parent / stem) if language else path, {})[language] = path
    matched = [own for own in sides.values() if reading.source in own and reading.target in own]
    if must_match and not matched and len(texts) == 2:
        matched = [{reading.source: texts[0], reading.target: texts[1]}]
    yield from (Found((own[reading.source], own[reading.target])) for own in matched)
    used = {path for own in matched for path in own.values()}
    if rest := [path for path in texts if path not in used]:
        message = f"{len(rest)} files have no known format and no other file beside them, such as `{rest[0]}`"
        if must_match:
            if rest[0].lower().endswith(_SPREADSHEETS):
                raise UserError(
                    f"`{rest[0]}` is an old or OpenDocument spreadsheet, or has a password; save it as .xlsx or CSV"
                )
            open_text(rest[0]).close()  # raises an error that says what the file is if it is not text
            raise UserError(
                f"`{rest[0]}` is plain text, which needs a second file with the other language: two files such as "
                f"train.{normal_code(reading.source)} and train.{normal_code(reading.target)}"
            )
        reading.say(f"left out: {message}")
