"""The figures of a large fleet: lines for people as they come, all of it as JSON at the end."""

from dataclasses import asdict, dataclass, field
from typing import Any

from trials.console import say
from trials.figures import percentile_of
from trials.scale.database import Load
from trials.scale.fleet import Claims


@dataclass(frozen=True)
class Line:
    """One figure. `aim`: its aim in words; `met`: whether it is met, or None without an aim."""

    about: str
    words: str
    aim: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.met is None else f"  (aim: {self.aim}: {'met' if self.met else 'MISSED'})"
        return f"{self.about}: {self.words}{verdict}"


@dataclass
class Figures:
    """`figures`: by name, as they go into the JSON. `settings`: of the run."""

    settings: dict[str, Any] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """A figure that misses its aim is no failure."""
        return True

    def add(self, name: str, line: Line, figure: Any) -> None:
        self.lines.append(line)
        self.figures[name] = figure
        say(f"  {line}")

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
        p50, p99 = percentile_of(taken, 50), percentile_of(taken, 99)
        words = f"{claims.a_second:.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms; {kinds};"
        words += f" {each:.1f} ms of PostgreSQL's CPU each"
        aim, met = ("", None) if at_least is None else (f"at least {at_least:.0f}/s", claims.a_second >= at_least)
        self.add(
            name,
            Line(about, words, aim, met),
            asdict(claims) | {"a_second": claims.a_second, "postgres_ms": each, "dearest": load.dearest[:12]},
        )

    def in_words(self) -> str:
        return "\n".join(map(str, self.lines))

    def as_json(self) -> dict[str, Any]:
        return {
            "settings": self.settings,
            "lines": [str(line) for line in self.lines],
            "missed": [str(line) for line in self.lines if line.met is False],
            "figures": self.figures,
        }
