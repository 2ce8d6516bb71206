"""What a command shows people: lines, tables, and a picture that is drawn again and again in its place."""

import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME, CLEAR_REST, CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"
ALTERNATE, NORMAL = "\x1b[?1049h", "\x1b[?1049l"


class Screen:
    """`out` is for the answer, `note` for news about its making, so that the answer can be piped on."""

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
        """What the terminal showed before comes back afterwards."""
        self._raw(ALTERNATE + HIDE_CURSOR)
        try:
            yield
        finally:
            self._raw(SHOW_CURSOR + NORMAL)

    def draw(self, text: str) -> None:
        """In the place of the former picture, without flicker; what does not fit below is left out."""
        lines = text.splitlines()[: shutil.get_terminal_size().lines - 1]
        self._raw(HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in lines) + CLEAR_REST)

    def _raw(self, text: str) -> None:
        self._stdout.write(text, ending="")
        self._stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be; numbers to the right."""
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
    """Without line breaks and other control characters: what others wrote must not steer a terminal."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
