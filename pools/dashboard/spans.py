"""The times over which the charts look back."""

from dataclasses import dataclass
from datetime import timedelta

POINTS = 120


@dataclass(frozen=True)
class Span:
    name: str
    words: str
    length: timedelta

    @property
    def step_s(self) -> float:
        """The width of a point."""
        return self.length.total_seconds() / POINTS


SPANS = (
    Span("20m", "20 minutes", timedelta(minutes=20)),
    Span("1h", "1 hour", timedelta(hours=1)),
    Span("6h", "6 hours", timedelta(hours=6)),
    Span("24h", "24 hours", timedelta(hours=24)),
    Span("7d", "7 days", timedelta(days=7)),
)
HOUR = SPANS[1]


def span_named(name: str | None) -> Span:
    return next((span for span in SPANS if span.name == name), HOUR)
