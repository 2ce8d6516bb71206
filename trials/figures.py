"""What a measure yields: named samples with the aim beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PERCENTILES = {"p50": 50.0, "p99": 99.0, "max": 100.0}


def percentile_of(samples: Sequence[float], percent: float) -> float:
    """By nearest rank: one of the samples, never less than the percentile. NaN without samples."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


@dataclass(frozen=True)
class Figure:
    """`samples` in `unit`; `aims`: percentile -> at most; `notes`: what a reader must know of them."""

    name: str
    title: str
    samples: Sequence[float]
    unit: str = "ms"
    aims: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def at(self, percentile: str) -> float:
        return percentile_of(self.samples, PERCENTILES[percentile])

    @property
    def met(self) -> bool | None:
        """Whether every aim is met; None: there is none."""
        return all(self.at(name) <= aim for name, aim in self.aims.items()) if self.aims else None

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "n": len(self.samples),
            **{name: round(self.at(name), 3) for name in PERCENTILES},
            "aims": self.aims,
            "met": self.met,
            "notes": list(self.notes),
            "samples": [round(sample, 3) for sample in self.samples],
        }


def milliseconds(seconds: Sequence[float]) -> list[float]:
    return [second * 1000 for second in seconds]


def ratio(name: str, title: str, upper: Figure, lower: Figure, aims: dict[str, float] | None = None) -> Figure:
    """Of the medians."""
    return Figure(name, title, [upper.at("p50") / lower.at("p50")], unit="x", aims=aims or {})
