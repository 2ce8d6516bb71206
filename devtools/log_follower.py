"""Follows a growing log file and returns its events, warnings and errors as short lines for a terminal."""

import re
from collections.abc import Iterator
from pathlib import Path

LINE = re.compile(r"\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d)\S* (?P<level>[A-Z]+) (?P<logger>\S+) (?P<message>.*)")
PROBLEMS = ("WARNING", "ERROR", "CRITICAL")
EVENTS = "pools.events"


class LogFollower:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def news(self) -> Iterator[str]:
        """Return the lines completed since the last call that a terminal should show."""
        with open(self.path, "rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                shown = short(line.decode(errors="replace").rstrip())
                if shown:
                    yield shown


def short(line: str) -> str | None:
    """Shorten a warning, an error or an event of a session for a terminal. Returns None for any other line."""
    match = LINE.match(line)
    if not match:
        return None
    if match["level"] in PROBLEMS:
        return f"{match['time']} {match['level']} {match['logger']} {match['message']}"
    if match["logger"] == EVENTS:
        return f"{match['time']} {match['message'].removeprefix('event=')}"
    return None


def tail(path: Path, lines: int = 15) -> list[str]:
    """Return the last lines of a log."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
