"""Curves over time for a terminal, drawn with Braille dots, two by four in each character. Pure."""

from collections.abc import Sequence
from itertools import pairwise

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row from the top, by column
BLANK = 0x2800


def averages(values: Sequence[float], columns: int) -> list[float]:
    """As many values as columns, each the mean of those that fall into it."""
    if not values:
        return [0.0] * columns
    edges = [len(values) * column // columns for column in range(columns + 1)]
    parts = [values[begin : max(end, begin + 1)] for begin, end in pairwise(edges)]
    return [sum(part) / len(part) if part else values[-1] for part in parts]


def curve(values: Sequence[float], *, width: int = 72, height: int = 6, top: float | None = None) -> list[str]:
    """Lines of text, filled from below; the scale is from 0 to the largest value."""
    columns = averages(values, width * 2)
    top = max(1e-9, max(columns) if top is None else top)
    cells = [[BLANK] * width for _ in range(height)]
    for column, value in enumerate(columns):
        filled = round(min(value, top) / top * height * len(DOTS))
        if value > 0:
            filled = max(1, filled)
        for dot in range(filled):
            row, within = divmod(height * len(DOTS) - 1 - dot, len(DOTS))
            cells[row][column // 2] |= DOTS[within][column % 2]
    return ["".join(map(chr, row)) for row in cells]


def plot(title: str, values: Sequence[float], *, width: int = 72, height: int = 6) -> str:
    """With its title and its scale at the left."""
    largest = max(averages(values, width * 2), default=0.0)
    lines = curve(values, width=width, height=height)
    labels = [f"{largest:7.4g}", *[" " * 7] * (height - 2), f"{0:7d}"]
    return "\n".join([f"{'':7} {title}", *(f"{label} {line}" for label, line in zip(labels, lines, strict=True))])
