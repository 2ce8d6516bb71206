"""Following a growing log file: its events and its troubles, as short lines for a terminal."""

import re
from collections.abc import Iterator
from pathlib import Path

LINE = re.compile(r"\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d)\S* (?P<level>[A-Z]+) (?P<logger>\S+) (?P<message>.*)")
TROUBLE = ("WARNING", "ERROR", "CRITICAL")
EVENTS = "pools.events"


class LogFollower:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def news(self) -> Iterator[str]:
        """Lines that were completed since the last call, if a terminal should show them."""
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
    """An event of a session without its date, level and logger; a warning or error without its date; else nothing."""
    match = LINE.match(line)
    if not match:
        return None
    if match["level"] in TROUBLE:
        return f"{match['time']} {match['level']} {match['logger']} {match['message']}"
    if match["logger"] == EVENTS:
        return f"{match['time']} {match['message'].removeprefix('event=')}"
    return None


def tail(path: Path, lines: int = 15) -> list[str]:
    """The last lines of a log."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
