"""What a run has found: lines for people as they come, all of it as JSON at the end."""

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from trials.scale.database import Load
from trials.scale.fleet import Claims


@dataclass(frozen=True)
class Line:
    """One figure. `aim`: what it should be, in words; `met`: whether it is; None: there is none."""

    about: str
    words: str
    aim: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.met is None else f"  (aim: {self.aim}: {'met' if self.met else 'MISSED'})"
        return f"{self.about}: {self.words}{verdict}"


@dataclass
class Report:
    """`figures`: by name, as they go into the JSON."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    load_before: tuple[float, ...] = field(default_factory=os.getloadavg)
    lines: list[Line] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._began:6.1f} s  {text}\n")
        sys.stderr.flush()

    def add(self, name: str, line: Line, figure: Any) -> None:
        self.lines.append(line)
        self.figures[name] = figure
        self.say(f"  {line}")

    def add_load(self, name: str, about: str, load: Load, *, at_most: float | None = None) -> None:
        """`at_most`: of one core."""
        aim = "" if at_most is None else f"at most {at_most * 100:.0f} % of one core"
        met = None if at_most is None else load.cores <= at_most
        self.add(name, Line(about, load.in_words(), aim, met), asdict(load))

    def add_claims(self, name: str, about: str, claims: Claims, load: Load, *, at_least: float | None = None) -> None:
        """`at_least`: a second. `load`: of the run, its preparation included."""
        taken = claims.milliseconds
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(claims.kinds.items()))
        each = load.cores * load.seconds / max(1, len(taken)) * 1000
        words = f"{claims.a_second:.0f}/s, p50 {at(taken, 50):.1f} ms, p99 {at(taken, 99):.1f} ms; {kinds};"
        words += f" {each:.1f} ms of PostgreSQL's CPU each"
        aim, met = ("", None) if at_least is None else (f"at least {at_least:.0f}/s", claims.a_second >= at_least)
        self.add(
            name,
            Line(about, words, aim, met),
            asdict(claims) | {"a_second": claims.a_second, "postgres_ms": each, "dearest": load.dearest[:12]},
        )

    def write(self, path: Path, settings: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._began, 1),
            "machine": {
                "cpus": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
                "load_before": self.load_before,
                "load_after": os.getloadavg(),
            },
            "settings": settings,
            "lines": [str(line) for line in self.lines],
            "missed": [str(line) for line in self.lines if line.met is False],
            "broken": self.broken,
            "figures": self.figures,
        }
        path.write_text(json.dumps(content, indent=1, default=str) + "\n")


def at(samples: Sequence[float], percent: float) -> float:
    """By nearest rank; NaN of nothing."""
    ordered = sorted(samples)
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)] if ordered else float("nan")
