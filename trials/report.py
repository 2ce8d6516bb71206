"""The report of a trial: lines for people, JSON for machines."""

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol


class Result(Protocol):
    """What a trial measures or finds. A trial may fill it while it runs, so that a broken run shows what it has."""

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""

    def in_words(self) -> str: ...

    def as_json(self) -> dict[str, Any]: ...


@dataclass
class Report:
    """`broken`: the errors that ended the trial early. `result` is None until there is one."""

    name: str
    result: Result | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    load_before: tuple[float, ...] = field(default_factory=os.getloadavg)
    broken: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.broken and self.result is not None and self.result.holds

    def in_words(self) -> str:
        lines = [self.result.in_words()] if self.result else []
        return "\n".join([*lines, self._machine_in_words(), *(f"BROKEN: {problem}" for problem in self.broken)])

    def _machine_in_words(self) -> str:
        load = " -> ".join(f"{load[0]:.1f}" for load in (self.load_before, os.getloadavg()))
        cpus = os.cpu_count() or 1
        busy = " BUSY before the run began: times include waiting for a CPU." if self.load_before[0] > cpus / 2 else ""
        return f"{cpus} CPUs, load {load} (client, service, database and agents all run on them).{busy}"

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1, default=str) + "\n")

    def as_json(self) -> dict[str, Any]:
        return {
            "trial": self.name,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - self.began).total_seconds(), 1),
            "machine": {
                "cpus": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
                "load_before": self.load_before,
                "load_after": os.getloadavg(),
            },
            "holds": self.holds,
            "broken": self.broken,
            **(self.result.as_json() if self.result else {}),
        }
