"""Processes as the kernel shows them, for tests that must see that none is left."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SeenProcess:
    """A process that was there; its start time tells it from a later one with the same pid."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Zombies are dead."""
        fields = _stat(self.pid)
        return bool(fields) and fields[19] == self.started and fields[0] != "Z"


def descendants(pid: int) -> set[SeenProcess]:
    """All children of a process, and theirs."""
    found: set[SeenProcess] = set()
    for child in _children(pid):
        fields = _stat(child)
        if fields:
            found |= {SeenProcess(child, fields[19])} | descendants(child)
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
