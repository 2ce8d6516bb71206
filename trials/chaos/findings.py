"""What a scenario finds out about one promise, and all findings of a run."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from trials.figures import percentile_of

IDLE = 0.5  # load a core at the beginning of a run, up to which the machine counts as idle


@dataclass(frozen=True)
class Finding:
    """`row` of the table of promises (0: none of its own). `holds` is about what must be so. `seconds`: samples, the
    largest of which is promised to be within `limit` on an idle machine, and within `starved` on any."""

    row: int
    what: str
    holds: bool = True
    note: str = ""
    seconds: tuple[float, ...] = ()
    limit: float | None = None
    starved: float | None = None

    @property
    def late(self) -> int:
        """The number of samples above the limit of an idle machine."""
        return 0 if self.limit is None else sum(seconds > self.limit for seconds in self.seconds)

    def judged(self, *, idle: bool) -> "Finding":
        """Return the finding, which holds only if its samples are within the limit for this machine."""
        too_late = self.late > 0 if idle else any(s > self.starved for s in self.seconds if self.starved is not None)
        return replace(self, holds=self.holds and not too_late)

    @property
    def verdict(self) -> str:
        if not self.holds:
            return "DOES NOT HOLD"
        return f"{self.late} of {len(self.seconds)} LATE" if self.late else "holds"

    def in_words(self) -> str:
        figures = _times(self.seconds, self.limit, self.starved)
        return f"{self.row or '':>2}  {self.verdict:<15} {self.what}{figures}{_note(self.note)}"


def fact(row: int, what: str, holds: object, note: object = "") -> Finding:
    return Finding(row, what, bool(holds), str(note))


def times(
    row: int, what: str, seconds: Sequence[float], limit: float, note: object = "", starved: float | None = None
) -> Finding:
    """`limit`: on an idle machine. `starved`: where cores are short; by default four times as long and five seconds
    more. No sample at all proves nothing."""
    bound = 4 * limit + 5 if starved is None else starved
    return Finding(row, what, bool(seconds), str(note) if seconds else "no sample", tuple(seconds), limit, bound)


def _times(seconds: Sequence[float], limit: float | None, starved: float | None) -> str:
    if not seconds:
        return ""
    p50, p95 = percentile_of(seconds, 50), percentile_of(seconds, 95)
    figures = f"p50 {_short(p50)}, p95 {_short(p95)}, max {_short(max(seconds))}" if len(seconds) > 1 else _short(p50)
    bound = (
        f" (at most {_short(limit)}, starved {_short(starved)})" if limit is not None and starved is not None else ""
    )
    return f": {figures}{bound}, n={len(seconds)}"


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _note(note: str) -> str:
    return f"  [{note}]" if note else ""


@dataclass
class Findings:
    """`must_be_zero`: what decides the exit status, besides findings that do not hold. `busy`: the cores are occupied
    on purpose. `problems`: scenarios that broke, and audits that disagree."""

    seed: int
    busy: bool = False
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])
    findings: list[Finding] = field(default_factory=list)
    must_be_zero: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.problems or any(self.must_be_zero.values())) and all(f.holds for f in self.findings)

    @property
    def idle(self) -> bool:
        """Whether the machine was idle when the run began."""
        return not self.busy and self.load_before < IDLE * (os.cpu_count() or 1)

    def add(self, finding: Finding) -> Finding:
        judged = finding.judged(idle=self.idle)
        self.findings.append(judged)
        return judged

    def in_words(self) -> str:
        unusual = [finding.in_words() for finding in self.findings if finding.verdict != "holds"]
        counts = ", ".join(f"{name} {number}" for name, number in self.must_be_zero.items())
        verdict = "everything holds" if self.holds else "NOT EVERYTHING HOLDS"
        return "\n".join([*(f"PROBLEM: {problem}" for problem in self.problems), *unusual, counts, verdict])

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "busy": self.busy,
            "idle": self.idle,
            "must_be_zero": self.must_be_zero,
            "accounts": self.accounts,
            "figures": self.figures,
            "problems": self.problems,
            "findings": [asdict(finding) | {"verdict": finding.verdict} for finding in self.findings],
        }
