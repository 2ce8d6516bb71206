"""Prints progress on standard error: one line per measure, updated in place on a terminal."""

import sys
import time


class Progress:
    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._name = ""
        self._began = 0.0

    def begin(self, name: str) -> None:
        self._name, self._began = name, time.monotonic()
        self._say(f"{name} ...", over=True)

    def done(self, rounds: int, of: int) -> None:
        if self._live:
            self._say(f"{self._name} {rounds}/{of}", over=True)

    def end(self, outcome: str) -> None:
        self._say(f"{self._name}: {outcome} ({time.monotonic() - self._began:.0f} s)", over=False)

    def _say(self, text: str, *, over: bool) -> None:
        """Print a line. `over`: the next one replaces it."""
        if self._live:
            sys.stderr.write(f"\r\033[K{text}" + ("" if over else "\n"))
        elif not over:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
