"""Versions as operators read them on a terminal: a column for each number, a line for each version."""

from collections.abc import Sequence

from common.display import NONE, duration
from pools.operators.version_numbers import VersionNumbers
from pools.terminal.screen import table

HEAD = (
    "version",
    "pods",
    "share",
    "starts",
    "hot",
    "warm",
    "partial",
    "cold",
    "no process",
    "no room",
    "bot joined p50/p95",
    "first audio p50/p95",
    "ended",
    "failed",
    "failed hand-offs",
)


def version_table(numbers: Sequence[VersionNumbers], minutes: float) -> str:
    if not numbers:
        return "No pod runs, and there were no sessions."
    total = sum(version.starts for version in numbers)
    title = f"Sessions of the last {minutes:g} minutes, by the version that had them"
    return f"{title}\n{table(HEAD, [_row(version, total) for version in numbers])}"


def _row(of: VersionNumbers, total: int) -> tuple[object, ...]:
    return (
        of.version or "(none)",
        of.pods,
        share(of, total),
        of.starts,
        of.hot,
        of.warm,
        of.partial,
        of.cold,
        of.agent_misses,
        of.room_misses,
        f"{_ms(of.joined_p50_ms)}/{_ms(of.joined_p95_ms)}",
        f"{_ms(of.first_audio_p50_ms)}/{_ms(of.first_audio_p95_ms)}",
        of.ended,
        of.failed,
        of.failed_handoffs,
    )


def share(of: VersionNumbers, total: int) -> str:
    """What it had, and what it is to have."""
    had = f"{100 * of.starts / total:.1f} %" if total else NONE
    return had if of.wanted_percent is None else f"{had} of {of.wanted_percent:g} %"


def _ms(value: float | None) -> str:
    return NONE if value is None else duration(value / 1000)
