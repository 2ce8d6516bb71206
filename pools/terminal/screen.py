"""What a command prints: lines, tables, plots, and a picture that is redrawn in its place."""

import shutil
import unicodedata
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from itertools import pairwise
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME, CLEAR_REST, CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"


class ExitCode(IntEnum):
    """Exit codes of the verbs, as monitoring expects them. A verb raises CommandError for a usage error."""

    FINE = 0
    DEGRADED = 1
    WRONG_CALL = 2  # argparse's number for it
    UNKNOWN = 3


class Screen:
    """Output of a command: `out` writes the result to stdout, `note` writes remarks to stderr."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, style: Style) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.style = style

    def out(self, text: str = "") -> None:
        self._stdout.write(text)

    def note(self, text: str) -> None:
        self._stderr.write(text, self.style.NOTICE)
        self._stderr.flush()

    @property
    def is_terminal(self) -> bool:
        return bool(self._stdout.isatty())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Use the alternate screen: what the terminal showed before comes back afterwards."""
        self._raw(ALTERNATE + HIDE_CURSOR)
        try:
            yield
        finally:
            self._raw(SHOW_CURSOR + NORMAL)

    def draw(self, text: str) -> None:
        """Draw over the previous picture, without flicker. Lines that do not fit on the terminal are left out."""
        lines = text.splitlines()[: shutil.get_terminal_size().lines - 1]
        self._raw(HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in lines) + CLEAR_REST)

    def _raw(self, text: str) -> None:
        self._stdout.write(text, ending="")
        self._stdout.flush()


class Verb(ABC):
    """A verb of `manage.py pools`. The docstring of a subclass is the text of `manage.py pools VERB --help`."""

    help: ClassVar[str]  # one line, for the list of verbs

    @abstractmethod
    def add_arguments(self, parser: ArgumentParser) -> None: ...

    @abstractmethod
    def run(self, options: Mapping[str, Any], screen: Screen) -> int:
        """Do it and return the exit code. Raises CommandError for a usage error."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A text table with a head. Columns are as wide as needed; columns of numbers are right-aligned."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [list(head), *cells]) for column in range(len(head))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(head))]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if to_the_right else value.ljust(width)
            for value, width, to_the_right in zip(values, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(line(values) for values in [head, *cells])


def one_line(text: str) -> str:
    """The text with control characters replaced by spaces: text of others must not control a terminal."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


# Braille: two dots by four in each character.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row from the top, by column
BLANK = 0x2800


def averages(values: Sequence[float], columns: int) -> list[float]:
    """The mean of the values that fall into each of so many columns."""
    if not values:
        return [0.0] * columns
    edges = [len(values) * column // columns for column in range(columns + 1)]
    parts = [values[begin : max(end, begin + 1)] for begin, end in pairwise(edges)]
    return [sum(part) / len(part) if part else values[-1] for part in parts]


def curve(values: Sequence[float], *, width: int = 72, height: int = 6, top: float | None = None) -> list[str]:
    """A filled curve of Braille dots, as lines of text. The scale is from 0 to `top` (default: the largest value)."""
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
    """A curve with its title, and its scale at the left."""
    largest = max(averages(values, width * 2), default=0.0)
    lines = curve(values, width=width, height=height)
    labels = [f"{largest:7.4g}", *[" " * 7] * (height - 2), f"{0:7d}"]
    return "\n".join([f"{'':7} {title}", *(f"{label} {line}" for label, line in zip(labels, lines, strict=True))])
