"""Lets a bot report the outcome, transcript and details of its session: `from pools.agent import report`.

Reporting is optional. Outside of a session (in a test, under Pipecat's own runner) it has no effect.
"""

import json
import math
from typing import Any

from pools.protocol import MAX_FRAME_BYTES

MAX_OUTCOME = 50  # characters; what a lead's outcome column holds
MAX_REPORT_BYTES = MAX_FRAME_BYTES // 4
MAX_DEPTH = 20  # of nested lists and objects; what lies deeper (or refers to itself) becomes its `str()`


class Report:
    """What a bot has reported so far, as JSON of bounded size that PostgreSQL can store."""

    def __init__(self) -> None:
        self.outcome = ""
        self.transcript: list[dict[str, Any]] = []
        self.detail: dict[str, Any] = {}

    def add(self, outcome: str | None, transcript: list[dict[str, Any]] | None, detail: dict[str, Any]) -> None:
        if outcome is not None:
            self.outcome = _storable(str(outcome))[:MAX_OUTCOME]
        if transcript is not None:
            self.transcript = _bounded_transcript([_plain(dict(entry)) for entry in transcript])
        if detail:
            merged = _plain({**self.detail, **detail})
            size = len(json.dumps(merged))
            self.detail = merged if size <= MAX_REPORT_BYTES else {"detail_dropped_bytes": size}


_report = Report()


def report(*, outcome: str | None = None, transcript: list[dict[str, Any]] | None = None, **detail: Any) -> None:
    """Report how the session goes or went. May be called any number of times.

    `outcome` is one of the template's outcomes (at most 50 characters; the last one counts), `transcript` the whole
    conversation so far as `[{"role": ..., "content": ...}, ...]` (replaces the earlier one; the oldest entries go if it
    exceeds 1 MiB), `detail` anything else that is JSON (merged; what is not JSON becomes its `str()`).
    """
    _report.add(outcome, transcript, detail)


def current_report() -> Report:
    """Return what the bot of this process has reported."""
    return _report


def _plain(value: Any, depth: int = 0) -> Any:
    """Convert any value into one that JSON can hold."""
    if isinstance(value, str):
        return _storable(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if depth < MAX_DEPTH:
        if isinstance(value, dict):
            return {_storable(str(key)): _plain(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple | set):
            return [_plain(entry, depth + 1) for entry in value]
    return _storable(str(value)[:MAX_REPORT_BYTES])


def _storable(text: str) -> str:
    """Remove NUL and lone surrogates, which PostgreSQL's jsonb and UTF-8 cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _bounded_transcript(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest entries that fit into MAX_REPORT_BYTES."""
    room = MAX_REPORT_BYTES
    for position in range(len(entries) - 1, -1, -1):
        room -= len(json.dumps(entries[position])) + 1
        if room < 0:
            return entries[position + 1 :]
    return entries
