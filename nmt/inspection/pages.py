"""Pictures and pages: an inspection is written as WHAT.png, WHAT.html and WHAT.json.

The page has the form of a report (`nmt.report`): it is self-contained, and page and picture follow the reader's light
or dark setting. matplotlib lays out text in any script (from version 3.11 on with HarfBuzz, including right-to-left
scripts), in the first installed font that has the characters.
"""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError, imported
from nmt.model_folder import write_atomically
from nmt.report.blocks import Document, Figure, Section, Table, section
from nmt.report.charts import number
from nmt.report.rendering import to_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure as Picture

Say = Callable[[str], None]

Draw = Callable[[], "Picture"]
"""A function that draws a picture in the colours below."""

DOTS_PER_INCH = 130

BACKGROUND, TEXT, GRID, FAINT = "#ffffff", "#1c1f23", "#d9dde2", "#8a929b"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#b5569a", "#b58900", "#4aa3d9")
"""Colours of lines and points that most colour-blind readers can distinguish (after Okabe & Ito 2008)."""

DARK = {
    TEXT: "#e6e8ea", GRID: "#353b42", FAINT: "#858d96",
    **dict(zip(COLORS, ("#56b4e9", "#ff8c42", "#2fc795", "#e295c9", "#f0c74c", "#9ad0f5"), strict=True)),
}  # fmt: skip
"""The colour that replaces each colour on a dark page; the background is that of the page."""


def one_panel(size: tuple[float, float], title: str, x_label: str, y_label: str) -> tuple[Picture, Axes]:
    """An empty picture with a single panel."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=size, layout="constrained")
    panel = picture.subplots()
    panel.set_title(title, parse_math=False)
    panel.set(xlabel=x_label, ylabel=y_label)
    return picture, panel


def ramp() -> Colormap:
    """A colour map for weights from 0 to 1, from transparent to blue, for any background."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ramp", [(0.13, 0.48, 0.82, alpha) for alpha in (0, 0.35, 1)])


def diverging() -> Colormap:
    """A colour map for values from -1 to 1, from blue over transparent to red, for any background."""
    from matplotlib.colors import LinearSegmentedColormap

    blue, red = (0.13, 0.48, 0.82), (0.86, 0.27, 0.17)
    return LinearSegmentedColormap.from_list("diverging", [(*blue, 1), (*blue, 0), (*red, 0), (*red, 1)])


FORMATS = (".svg", ".pdf", ".png")
"""File names of pictures end in one of these."""


@dataclass(repr=False)
class Inspection:
    """The result of one `nmt inspect`. In a notebook it shows its page."""

    what: str
    """Name of the command's files: `gradient-flow`."""
    title: str
    summary: list[str]
    """A few sentences with the main numbers, for the terminal and the top of the page."""
    draw: Draw
    numbers: dict[str, Any]
    """All numbers of the picture, for WHAT.json; numbers that are not finite become null."""
    texts: Sequence[str] = ()
    """Texts of the picture that come from data: their characters decide which fonts are needed."""
    first: list[Section] = field(default_factory=list)
    """The sections above the picture."""
    sections: list[Section] = field(default_factory=list)
    """The sections below the picture."""
    files: dict[str, str] = field(default_factory=dict)
    """The contents of further files, by name."""

    @cached_property
    def figure(self) -> Picture:
        """The picture, as a figure of matplotlib."""
        require_matplotlib()
        with _style(choose_fonts("".join(self.texts))[0]):
            return self.draw()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file in the format that its name says, `.svg`, `.pdf` or `.png`; returns the path.

        Raises UserError for another ending, and when matplotlib or the right to write is missing.
        """
        path = check_picture(path)
        try:
            write_atomically(path, self.picture(path.suffix[1:].lower()))
        except OSError as error:
            raise UserError(f"`{path}` cannot be written: {error.strerror or error}") from None
        return path

    def picture(self, kind: str) -> bytes:
        """The picture as `svg` (letters are outlines, so that no font is needed to see it), `pdf` or `png`."""
        buffer, undated = io.BytesIO(), {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure = self.figure
        with _style(choose_fonts("".join(self.texts))[0]):
            figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=undated.get(kind))
        return buffer.getvalue()

    def __repr__(self) -> str:
        return "\n".join([self.title, *self.summary])

    def _repr_html_(self) -> str:
        """The page in a frame of its own, because the style of a notebook and that of the page would mix."""
        whole = page(self, self.picture("svg").decode())
        return f'<iframe srcdoc="{escape(whole)}" style="width: 100%; height: 42rem; border: 0"></iframe>'


def check_picture(path: str | Path) -> Path:
    """The path of a picture; raises UserError unless the name ends in one of FORMATS."""
    if Path(path).suffix.lower() not in FORMATS:
        raise UserError(f"the name of a picture must end in {', '.join(FORMATS)}, but is `{path}` instead")
    return Path(path)


def write(inspection: Inspection, folder: Path, command: str, say: Say) -> None:
    """Write picture, page, numbers and further files into a folder, which is made if missing; prints their names.

    command: the command that made them, shown in the page and stored with the numbers

    Raises UserError when matplotlib or the right to write is missing.
    """
    require_matplotlib()
    _, missing = choose_fonts("".join(inspection.texts))
    if missing:
        say(missing)
    what = inspection.what
    png, svg = map(inspection.picture, ("png", "svg"))
    values = _plain({"command": command, "what": what, **inspection.numbers})
    numbers = json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    written: dict[str, bytes] = {
        f"{what}.png": png,
        f"{what}.html": page(inspection, svg.decode(), command).encode("utf-8", "backslashreplace"),
        f"{what}.json": numbers.encode("utf-8", "backslashreplace"),
    }
    written |= {name: text.encode() for name, text in inspection.files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            write_atomically(folder / name, content)
            say(f"{folder / name}")
    except OSError as error:
        raise UserError(f"`{folder}` cannot be written to: {error.strerror or error}") from None


def require_matplotlib() -> None:
    """Raises UserError, before any work is done, when pictures cannot be drawn."""
    imported("matplotlib", "pictures need matplotlib", "[report]")


def page(inspection: Inspection, svg: str, command: str = "") -> str:
    """The whole page as HTML; the colours of the picture follow those of the page.

    command: the command that made the page and the file of its numbers, if one did
    """
    inline = svg[svg.index("<svg") :]
    inline = inline.replace(BACKGROUND, "var(--paper)")
    for light, dark in DARK.items():
        inline = inline.replace(light, f"light-dark({light}, {dark})")
    # coordinates with two decimals: finer than any screen can show, and the page becomes a third smaller
    inline = re.sub(r'(?<= [dxy]=")[^"]*', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), inline)
    label = escape(inspection.title)
    inline = inline.replace("<svg", f'<svg role="img" aria-label="{label}" style="max-width: 100%; height: auto"', 1)
    picture = section("Picture", Figure(inline), command=command)
    sections = [section("In short", *inspection.summary), *inspection.first, picture, *inspection.sections]
    document = Document(inspection.title, f"nmt inspect {inspection.what}", [], sections)
    return to_html(document, f"{inspection.what}.json" if command else "")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; columns of numbers are aligned to the right."""
    told = [[number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    numeric = [i for i in range(len(head)) if rows and isinstance(rows[0][i], int | float)]
    return Table(head, told, numeric)


def _plain(value: Any) -> Any:
    """The value as JSON has it: arrays as lists, numbers with six digits, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


@contextmanager
def _style(families: Sequence[str]) -> Iterator[None]:
    """matplotlib with our colours and these fonts, in order of preference."""
    import matplotlib
    from cycler import cycler

    settings: Any = {
        "font.family": list(families), "font.size": 10, "axes.titlesize": 11, "legend.fontsize": 9,
        "axes.grid": True, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
        "legend.frameon": False, "grid.linewidth": 0.6, "lines.linewidth": 1.8, "svg.hashsalt": "nmt",
        "axes.prop_cycle": cycler(color=COLORS), "axes.edgecolor": FAINT, "grid.color": GRID,
        **dict.fromkeys(("figure.facecolor", "savefig.facecolor", "axes.facecolor"), BACKGROUND),
        **dict.fromkeys(("text.color", "xtick.color", "ytick.color", "axes.labelcolor", "axes.titlecolor"), TEXT),
    }  # fmt: skip
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # choose_fonts reports them in one line
        yield


def choose_fonts(text: str) -> tuple[list[str], str | None]:
    """Font families that together have all characters of a text, and one line about characters that no font has.

    DejaVu Sans, which comes with matplotlib, is first. Then follow installed fonts that have missing characters, the
    one with the most of them first.
    """
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    families = ["DejaVu Sans"]
    missing = {ord(character) for character in text if not character.isspace() and character.isprintable()}
    missing -= set(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
    candidates: dict[str, set[int]] = {}
    for font in _installed_fonts() if missing else ():
        if font.style == "normal" and font.weight in (400, "normal", "regular") and font.name not in candidates:
            with suppress(RuntimeError, OSError):  # a font that FreeType cannot read
                candidates[font.name] = missing & set(FT2Font(font.fname).get_charmap())
    while missing and candidates:
        best = max(candidates, key=lambda name: (len(candidates[name] & missing), name))
        if not candidates[best] & missing:
            break
        families.append(best)
        missing -= candidates.pop(best)
    return families, _missing_fonts(missing) if missing else None


def _installed_fonts() -> list[Any]:
    """matplotlib's list of fonts and those installed since it was made, without the font of mere placeholders."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(RuntimeError, OSError):
                manager.addfont(path)
    return [font for font in manager.ttflist if not font.name.startswith("Last Resort")]


def _missing_fonts(missing: set[int]) -> str:
    """One line that says how many characters no font has, and which fonts to install."""
    scripts = sorted({_script(chr(code)) for code in missing})
    shown = "".join(chr(code) for code in sorted(missing)[:5])
    return (
        f"warning: no installed font has {len(missing)} of the picture's characters ({shown}"
        f"{'...' if len(missing) > 5 else ''}); install {', '.join(scripts)}"
    )


def _script(character: str) -> str:
    """The Noto font for a character's script, which is the first word of the character's Unicode name."""
    name = unicodedata.name(character, "SYMBOL").split()[0].split("-")[0]
    if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH", "BOPOMOFO"):
        return "Noto Sans CJK"
    if unicodedata.category(character).startswith("L") or unicodedata.category(character).startswith("M"):
        return f"Noto Sans {name.capitalize()}"
    return "Noto Sans Symbols"


Points = npt.NDArray[np.float64]


def project(vectors: npt.NDArray[Any], method: str = "pca") -> tuple[Points, str]:
    """Vectors [count, size] as points in two dimensions [count, 2], and a description of the axes.

    pca: the two directions of largest variance (Pearson 1901), as in Sutskever et al. (2014), figure 2. tsne:
    neighbours stay neighbours, but distances mean little (van der Maaten & Hinton 2008); needs scikit-learn.

    Raises UserError when there are fewer than 3 vectors, or scikit-learn is missing.
    """
    if len(vectors) < 3:
        raise UserError(f"a projection needs at least 3 different points, but has {len(vectors)}")
    centred = np.asarray(vectors, np.float64)
    centred = centred - centred.mean(0)
    if method == "tsne":
        TSNE = imported("sklearn.manifold", "argument `projection` tsne needs scikit-learn", "[tsne]").TSNE
        perplexity = min(30.0, (len(centred) - 1) / 3)
        points: Points = TSNE(2, perplexity=perplexity, init="pca", random_state=1).fit_transform(centred)
        return points, "t-SNE"
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    for axis in axes[:2]:  # the sign is arbitrary: the largest weight is positive
        axis *= np.sign(axis[np.abs(axis).argmax()])
    share = singular[:2] ** 2 / max((singular**2).sum(), 1e-30)
    return centred @ axes[:2].T, f"PCA, {100 * share.sum():.0f} % of the variance"


def nearest(vectors: npt.NDArray[Any], chosen: Sequence[int], count: int) -> list[list[tuple[int, float]]]:
    """The `count` nearest other rows of each chosen row of [rows, size] and their cosine similarity, nearest first."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    found = []
    for row in chosen:
        similarity = unit @ unit[row]
        similarity[row] = -np.inf
        best = np.argsort(-similarity, kind="stable")[:count]
        found.append([(int(i), float(similarity[i])) for i in best if np.isfinite(similarity[i])])
    return found


def label_points(axes: Axes, points: Points, texts: Sequence[str], size: float = 9) -> int:
    """Write each text next to its point unless it would cover an earlier one; returns how many are shown.

    The texts must be in order of importance.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where points are on the page
    taken: list[Any] = []
    edges = axes.get_window_extent()
    for (x, y), text in zip(points, texts, strict=True):
        right = x <= np.mean(axes.get_xlim())
        label = axes.annotate(
            text, (x, y), xytext=(5 if right else -5, 0), textcoords="offset points", fontsize=size,
            ha="left" if right else "right", va="center", parse_math=False,
            bbox={"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.6, "pad": 0.6},
        )  # fmt: skip
        box = label.get_window_extent().padded(1)
        inside = edges.x0 <= box.x0 and box.x1 <= edges.x1
        if not inside or any(box.overlaps(other) for other in taken):
            label.remove()
        else:
            taken.append(box)
    return len(taken)
