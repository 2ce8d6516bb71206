"""What the benchmark measures, as a table and as JSON. Figures are stated whether or not they meet their aim."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trials.figures import PERCENTILES, Figure, ratio

HEADINGS = ("", "n", *PERCENTILES, "aim (at most)", "")
VERDICTS = {True: "met", False: "MISSED", None: ""}


@dataclass
class Measurements:
    """`failures`: measure -> what did not work."""

    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    rate_limited: int = 0

    @property
    def holds(self) -> bool:
        """Whether everything worked, fast enough or not."""
        return not self.failures

    def finish(self) -> None:
        """Add what compares one measure with another."""
        figures = {figure.name: figure for figure in self.figures}
        without, warm = figures.get("no_pool"), figures.get("acknowledged_warm")
        if without and warm:
            self.figures.append(ratio("no_pool_ratio", "no pool : warm pair acknowledged", without, warm))
        without, warm = figures.get("voice_no_pool"), figures.get("voice_warm")
        if without and warm:
            title = "first word, warm pair : no pools"
            self.figures.append(ratio("voice_ratio", title, warm, without, {"p50": 0.25}))

    def in_words(self) -> str:
        rows = [HEADINGS, *map(_row, self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        notes = [f"{figure.title}: {note}" for figure in self.figures for note in figure.notes]
        return "\n".join([*lines, "", *notes, *self._circumstances()])

    def _circumstances(self) -> list[str]:
        failed = [f"{name} DID NOT WORK: {problem}" for name, problem in self.failures.items()]
        durability = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return [f"PostgreSQL: {durability}. Calls to Daily answered 429: {self.rate_limited}.", *failed]

    def as_json(self) -> dict[str, Any]:
        return {
            "postgresql": self.settings,
            "daily_calls_rate_limited": self.rate_limited,
            "figures": {figure.name: figure.as_json() for figure in self.figures},
            "failures": self.failures,
        }


def _row(figure: Figure) -> tuple[str, ...]:
    values = [_value(figure.at(name), figure.unit) for name in PERCENTILES]
    aims = ", ".join(f"{name} {_value(aim, figure.unit)}" for name, aim in figure.aims.items())
    if len(figure.samples) == 1:
        values[1:] = ["" for _ in values[1:]]
    return figure.title, str(len(figure.samples)), *values, aims, VERDICTS[figure.met]


def _value(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 else 1 if unit != "x" or value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Align numbers to the right and words to the left."""
    numbers = range(1, 2 + len(PERCENTILES))
    return [
        text.rjust(width) if at in numbers else text.ljust(width)
        for at, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
