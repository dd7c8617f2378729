"""Charts as inline SVG without a plotting library: a few kilobytes each, without scripts, in the colours of the page.

Every colour is a class of the page's style sheet, so one chart serves light and dark pages, while a plotting library
would need two. Every mark has a `<title>`, which a browser shows as a tooltip and a screen reader reads aloud.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nmt.report.search_tree import Node

WIDTH, HEIGHT = 640, 270
LEFT, RIGHT, TOP, BOTTOM = 56, 22, 30, 44


@dataclass(frozen=True)
class Series:
    """A line of a chart, or the bars of one colour."""

    name: str
    values: Sequence[float]
    """Heights of bars, or the y of points."""
    places: Sequence[float] = ()
    """x of the points; bars do not use it."""
    low: Sequence[float] = ()
    """Lower ends of the values' intervals; empty for none."""
    high: Sequence[float] = ()
    notes: Sequence[str] = ()
    """Additional text for the tooltip of each value."""


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that cover an interval: multiples of 1, 2 or 5 times a power of ten."""
    if high <= low:
        high = low + 1
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def number(value: float) -> str:
    """A number in its shortest readable form: `1,200`, `0.05`, `31.2`."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.0001 else f"{value:.1e}"


class _Plot:
    """A frame with axes; y grows upwards from `ys[0]` to `ys[-1]`."""

    def __init__(self, label: str, x_label: str, y_label: str, xs: tuple[float, float], ys: Sequence[float]) -> None:
        self.parts = [
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">',
            f'<text class="label" x="{LEFT - 44}" y="14">{escape(y_label)}</text>',
            f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{escape(x_label)}</text>",
        ]
        self.xs, self.ys = xs, (ys[0], ys[-1])
        for value in ys:
            y = self.y(value)
            self.parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')

    def x(self, value: float) -> float:
        low, high = self.xs
        return LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    def y(self, value: float) -> float:
        low, high = self.ys
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    def mark_x(self, x: float, text: str) -> None:
        """Write a label under the x axis."""
        self.parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>')

    def legend(self, names: Sequence[str]) -> None:
        """Add a legend if there are several series."""
        if len(names) < 2:
            return
        x = float(WIDTH - RIGHT)
        for place, name in reversed(list(enumerate(names))):
            x -= 7 * len(name) + 22
            self.parts.append(f'<rect class="fill{place}" x="{x:.0f}" y="5" width="11" height="11" rx="2"/>')
            self.parts.append(f'<text x="{x + 15:.0f}" y="14">{escape(name)}</text>')

    def finish(self) -> str:
        self.parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/></svg>')
        return "".join(self.parts)


def bar_chart(label: str, names: Sequence[str], series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Bars side by side for each name, with their intervals if given."""
    top = max([0.0, *(value for own in series for value in [*own.values, *own.high])])
    plot = _Plot(label, x_label, y_label, (0.0, float(len(names))), ticks(0.0, top or 1.0))
    plot.legend([own.name for own in series])
    width = 0.76 / len(series)
    for place, name in enumerate(names):
        plot.mark_x(plot.x(place + 0.5), name)
        for which, own in enumerate(series):
            left, right = (plot.x(place + 0.12 + width * (which + end)) for end in (0, 1))
            value, zero = own.values[place], plot.y(0)
            note = f" ({own.notes[place]})" if own.notes else ""
            plot.parts.append(
                f'<rect class="bar fill{which}" x="{left:.1f}" y="{plot.y(value):.1f}" width="{right - left - 1:.1f}" '
                f'height="{zero - plot.y(value):.1f}"><title>{escape(f"{name}: {own.name} {number(value)}{note}")}'
                "</title></rect>"
            )
            if own.low:
                low, high, x = plot.y(max(own.low[place], 0)), plot.y(own.high[place]), (left + right - 1) / 2
                plot.parts.append(
                    f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8'
                    f'M{x - 4:.1f} {high:.1f}h8"/>'
                )
    return plot.finish()


def line_chart(label: str, series: Sequence[Series], x_label: str, y_label: str, *, from_zero: bool = False) -> str:
    """A line for each series, with dots if there are few points."""
    places = [x for own in series for x in own.places]
    values = [y for own in series for y in own.values]
    first, last = min(places), max(places)
    xs = [x for x in ticks(first, last) if first <= x <= last]
    low = min(values)
    plot = _Plot(
        label, x_label, y_label, (first, max(last, first + 1)), ticks(min(low, 0.0) if from_zero else low, max(values))
    )
    plot.legend([own.name for own in series])
    for x in xs:
        plot.mark_x(plot.x(x), number(x))
    for which, own in enumerate(series):
        points = [(plot.x(x), plot.y(y)) for x, y in zip(own.places, own.values, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        plot.parts.append(f'<path class="line line{which}" d="M{path}"><title>{escape(own.name)}</title></path>')
        if len(points) <= 40:
            for (x, y), place, value in zip(points, own.places, own.values, strict=True):
                title = escape(f"{own.name} {number(value)} at {number(place)}")
                plot.parts.append(
                    f'<circle class="fill{which}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{title}</title></circle>'
                )
    return plot.finish()


def reliability_chart(label: str, bins: Sequence[tuple[float, float, int]]) -> str:
    """Accuracy over confidence, both 0 to 1, with the diagonal where they agree; a dot's area shows its count.

    bins: mean confidence, accuracy, number of predictions
    """
    plot = _Plot(label, "mean probability of the predicted piece", "share that is right", (0.0, 1.0), ticks(0, 1))
    for x in ticks(0, 1):
        plot.mark_x(plot.x(x), number(x))
    plot.parts.append(f'<path class="diagonal" d="M{plot.x(0):.1f} {plot.y(0):.1f}L{plot.x(1):.1f} {plot.y(1):.1f}"/>')
    points = [(plot.x(confidence), plot.y(accuracy)) for confidence, accuracy, _ in bins]
    plot.parts.append(f'<path class="line line0" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>')
    most = max(count for _, _, count in bins)
    for (x, y), (confidence, accuracy, count) in zip(points, bins, strict=True):
        title = f"{count:,} predictions: probability {confidence:.3f}, right {accuracy:.3f}"
        plot.parts.append(
            f'<circle class="dot fill0" cx="{x:.1f}" cy="{y:.1f}" r="{3 + 9 * math.sqrt(count / most):.1f}">'
            f"<title>{title}</title></circle>"
        )
    return plot.finish()


ROW, CHARACTER, GAP = 19, 7.2, 26


def tree_chart(label: str, root: str, nodes: Sequence[Node], texts: Sequence[tuple[str, str, str]]) -> str:
    """A search tree that grows from left to right, one column per step; a node's first child is on the same row.

    texts: of each node its piece, the small print behind it, and the tooltip
    """
    sizes = [len(text) * CHARACTER + len(note) * 5.6 + 4 for text, note, _ in texts]
    order = {"best": 0, "finished": 1, "pruned": 2, "refused": 3}
    children: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(place)
    rows: dict[int, int] = {-1: 0}
    used = 0
    waiting = [-1]
    while waiting:  # depth first, best child first: it is on its parent's row
        place = waiting.pop()
        if place not in rows:
            used += 1
            rows[place] = used
        own = sorted(children.get(place, ()), key=lambda child: (order[nodes[child].fate], child))
        if own:
            rows[own[0]] = rows[place]
        waiting += reversed(own)
    columns = max((node.step for node in nodes), default=0)
    widths = [len(root) * CHARACTER] + [0.0] * columns
    for node, size in zip(nodes, sizes, strict=True):
        widths[node.step] = max(widths[node.step], size)
    lefts = [8.0]
    for width in widths:
        lefts.append(lefts[-1] + width + GAP)
    width, height = math.ceil(lefts[-1] - GAP + 8), (used + 1) * ROW + 10
    parts = [
        f'<svg class="tree" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}">'
    ]
    middle = {place: 16 + row * ROW for place, row in rows.items()}
    for place in sorted(range(len(nodes)), key=lambda place: -order[nodes[place].fate]):  # the best on top
        node = nodes[place]
        x = lefts[node.step - 1] + (sizes[node.parent] if node.parent >= 0 else widths[0])
        y, end = middle[node.parent], middle[place]
        bend = f"H{lefts[node.step] - 12:.0f}V{end - 4}" if end > y else ""
        parts.append(f'<path class="branch {node.fate}" d="M{x + 3:.0f} {y - 4}{bend}H{lefts[node.step] - 3:.0f}"/>')
    parts.append(f'<text class="best" x="{lefts[0]:.0f}" y="{middle[-1]}">{escape(root)}</text>')
    for place, (node, told) in enumerate(zip(nodes, texts, strict=True)):
        text, note, title = map(escape, told)
        parts.append(
            f'<text class="{node.fate}" x="{lefts[node.step]:.0f}" y="{middle[place]}">{text}'
            f'<tspan class="note" dx="4">{note}</tspan><title>{title}</title></text>'
        )
    return "".join(parts) + "</svg>"
