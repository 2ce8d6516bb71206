"""What a scenario has found out about one promise, and the report of all."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Finding:
    """`row` of the table of promises (0: none of its own). `seconds`: samples, of which the largest should be within
    `limit`. `holds` is about what must be so; a time beyond its limit is reported, not failed: the machine is noisy."""

    row: int
    what: str
    holds: bool = True
    note: str = ""
    seconds: tuple[float, ...] = ()
    limit: float | None = None

    @property
    def verdict(self) -> str:
        if not self.holds:
            return "DOES NOT HOLD"
        if self.limit is not None and self.seconds and max(self.seconds) > self.limit:
            return f"{sum(s > self.limit for s in self.seconds)} of {len(self.seconds)} LATE"
        return "holds"

    def in_words(self) -> str:
        return (
            f"{self.row or '':>2}  {self.verdict:<15} {self.what}{_times(self.seconds, self.limit)}{_note(self.note)}"
        )


def fact(row: int, what: str, holds: object, note: object = "") -> Finding:
    return Finding(row, what, bool(holds), str(note))


def times(row: int, what: str, seconds: Sequence[float], limit: float, note: object = "") -> Finding:
    """No sample at all proves nothing."""
    return Finding(row, what, bool(seconds), str(note) if seconds else "no sample", tuple(seconds), limit)


def _times(seconds: Sequence[float], limit: float | None) -> str:
    if not seconds:
        return ""
    ordered = sorted(seconds)
    p50, p95 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    figures = f"p50 {_short(p50)}, p95 {_short(p95)}, max {_short(ordered[-1])}" if len(ordered) > 1 else _short(p50)
    bound = f" (at most {_short(limit)})" if limit is not None else ""
    return f": {figures}{bound}, n={len(ordered)}"


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _note(note: str) -> str:
    return f"  [{note}]" if note else ""


@dataclass
class Report:
    """`must_be_zero`: what the exit status is about, besides findings that do not hold."""

    command: str
    seed: int
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    findings: list[Finding] = field(default_factory=list)
    must_be_zero: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.broken or any(self.must_be_zero.values())) and all(f.holds for f in self.findings)

    def add(self, finding: Finding) -> Finding:
        self.findings.append(finding)
        return finding

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._as_json(), indent=1, default=str) + "\n")

    def _as_json(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "seed": self.seed,
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - self.began).total_seconds(), 1),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "holds": self.holds,
            "must_be_zero": self.must_be_zero,
            "accounts": self.accounts,
            "figures": self.figures,
            "broken": self.broken,
            "findings": [asdict(finding) | {"verdict": finding.verdict} for finding in self.findings],
        }
