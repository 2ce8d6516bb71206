"""The timeline of one session: what happened when, how long each step took, which took longest. Pure.

    request -> claim -> process -> hand-off -> acknowledged -> bot joined -> caller joined -> first audio -> end

`Moments` are read from rows by history.py; here is only what follows from them. Most moments are PostgreSQL's clock;
what the bot and the caller do is the pod's, so that a step may seem to end before it began: it then took no time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Moment(StrEnum):
    """What may happen in a session, in the usual order. The caller may well come before the bot."""

    REQUEST = "request"
    ROOM_ASKED = "room_asked"
    CLAIM = "claim"
    HANDOFF_FAILED = "handoff_failed"
    PROCESS = "process"
    HANDOFF = "handoff"
    ACKNOWLEDGED = "acknowledged"
    BOT_JOINED = "bot_joined"
    CALLER_JOINED = "caller_joined"
    FIRST_AUDIO = "first_audio"
    END = "end"


ORDER = {moment: number for number, moment in enumerate(Moment)}

# What is going on before a moment, for the bar's segment that ends there.
BEFORE = {
    Moment.REQUEST: "",
    Moment.ROOM_ASKED: "the request was checked; no room was in stock",
    Moment.CLAIM: "the request was checked and a pair claimed",
    Moment.HANDOFF_FAILED: "a process did not take the session",
    Moment.PROCESS: "the session waited for a process",
    Moment.HANDOFF: "the process was told of the session",
    Moment.ACKNOWLEDGED: "the process acknowledged",
    Moment.BOT_JOINED: "the bot joined the room",
    Moment.CALLER_JOINED: "the caller joined the room",
    Moment.FIRST_AUDIO: "the bot began to speak",
    Moment.END: "the call",
}
MADE_ON_DEMAND = "Daily made the room on demand"

# Ours until the bot is in the room; then it is the caller's and the conversation's time.
OURS = {
    Moment.ROOM_ASKED,
    Moment.CLAIM,
    Moment.HANDOFF_FAILED,
    Moment.PROCESS,
    Moment.HANDOFF,
    Moment.ACKNOWLEDGED,
    Moment.BOT_JOINED,
}


@dataclass(frozen=True)
class Moments:
    """When what happened; None: not (yet), or not known. `failed_handoffs`: when each was given up."""

    claim: datetime
    before_claim_ms: float | None = None
    room_asked: datetime | None = None
    failed_handoffs: Sequence[datetime] = ()
    process: datetime | None = None
    handoff: datetime | None = None
    acknowledged: datetime | None = None
    bot_joined: datetime | None = None
    caller_joined: datetime | None = None
    first_audio: datetime | None = None
    end: datetime | None = None

    def __iter__(self) -> Iterator[tuple[Moment, datetime]]:
        if self.before_claim_ms is not None:
            yield Moment.REQUEST, self.claim - timedelta(milliseconds=self.before_claim_ms)
        single = {
            Moment.ROOM_ASKED: self.room_asked,
            Moment.CLAIM: self.claim,
            Moment.PROCESS: self.process,
            Moment.HANDOFF: self.handoff,
            Moment.ACKNOWLEDGED: self.acknowledged,
            Moment.BOT_JOINED: self.bot_joined,
            Moment.CALLER_JOINED: self.caller_joined,
            Moment.FIRST_AUDIO: self.first_audio,
            Moment.END: self.end,
        }
        for moment, at in single.items():
            if at is not None:
                yield moment, at
        for at in self.failed_handoffs:
            yield Moment.HANDOFF_FAILED, at


@dataclass(frozen=True)
class Step:
    """From the moment before to this one. `start_ms` and `end_ms` count from the first moment of the session."""

    moment: Moment
    at: datetime
    start_ms: float
    end_ms: float
    what: str = field(repr=False)

    @property
    def ms(self) -> float:
        return self.end_ms - self.start_ms

    def as_json(self) -> dict[str, Any]:
        return {
            "step": self.moment.value,
            "at": self.at.isoformat(),
            "what": self.what,
            "start_ms": round(self.start_ms, 1),
            "ms": round(self.ms, 1),
        }


def timeline(moments: Moments) -> list[Step]:
    """The steps in the order of their time; the first takes none. Good for a bar: they join without gaps."""
    known = sorted(moments, key=lambda entry: (entry[1], ORDER[entry[0]]))
    known = _causal(known)
    began = known[0][1]
    steps: list[Step] = []
    for moment, at in known:
        end_ms = max(_ms(at - began), steps[-1].end_ms if steps else 0.0)
        what = MADE_ON_DEMAND if moment == Moment.CLAIM and moments.room_asked else BEFORE[moment]
        steps.append(Step(moment, at, steps[-1].end_ms if steps else 0.0, end_ms, what))
    return steps


def _causal(known: list[tuple[Moment, datetime]]) -> list[tuple[Moment, datetime]]:
    """Clocks differ by milliseconds between hosts: the end stays the end, whatever they say."""
    return [entry for entry in known if entry[0] != Moment.END] + [entry for entry in known if entry[0] == Moment.END]


def time_to(moment: Moment, steps: Sequence[Step]) -> float | None:
    """Milliseconds from the first moment of the session; None: it has not happened."""
    return next((step.end_ms for step in steps if step.moment == moment), None)


def slowest(steps: Sequence[Step]) -> Step | None:
    """The longest of the steps that are ours to make fast; None where there is none yet."""
    return max((step for step in steps if step.moment in OURS), key=lambda step: step.ms, default=None)


def _ms(duration: timedelta) -> float:
    return duration / timedelta(milliseconds=1)
