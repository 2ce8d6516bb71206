"""Why was this start slow? In words, from what was recorded. Pure: `history.py` reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common.display import counted, duration
from pools.decisions.targets import CONFIGURED
from pools.sessions.misses import Cause, Circumstances
from pools.sessions.timeline import Moment, Step, slowest, time_to

WINDOW_S = 2.0  # over which the starts before one are counted


@dataclass(frozen=True)
class Around:
    """What the rows tell afterwards. `waited_..._s`: how long this session waited for one; `next_..._s`: when the next
    was in stock, counted from the claim, for a session that has none yet."""

    starts_before: int = 0
    next_agent_s: float | None = None
    next_room_s: float | None = None
    waited_agent_s: float | None = None
    waited_room_s: float | None = None


@dataclass(frozen=True)
class Miss:
    """What was not in stock (`agents` or `rooms`), why, and the numbers that say so."""

    pool: str
    cause: str
    words: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def in_short(self) -> dict[str, Any]:
        return {"pool": self.pool, "cause": self.cause}

    def as_json(self) -> dict[str, Any]:
        return self.in_short() | {"words": self.words, "numbers": self.numbers}


def agent_miss(cause: str, seen: Circumstances, around: Around) -> Miss:
    numbers = {
        "starts_before": around.starts_before,
        "window_s": WINDOW_S,
        "target": seen.agent_target,
        "warming": seen.agents_warming,
        "available": seen.agents_available,
        "waited_s": around.waited_agent_s,
        "next_ready_s": around.next_agent_s,
        "pods": seen.pods,
        "free_slots": seen.free_slots,
    }
    return Miss("agents", cause, _agent_words(cause, seen, around), numbers)


def room_miss(cause: str, seen: Circumstances, around: Around) -> Miss:
    numbers = {
        "starts_before": around.starts_before,
        "window_s": WINDOW_S,
        "target": seen.room_target,
        "warming": seen.rooms_warming,
        "available": seen.rooms_available,
        "waited_s": around.waited_room_s,
        "next_ready_s": around.next_room_s,
        "daily_calls_in_window": seen.daily_calls,
    }
    return Miss("rooms", cause, _room_words(cause, seen, around), numbers)


def _agent_words(cause: str, seen: Circumstances, around: Around) -> str:
    match cause:
        case Cause.SWITCHED_OFF:
            return f"process pool switched off: {_why_nothing(seen.agent_target_why)}"
        case Cause.CONTENDED:
            return f"process pool: {_all_claimed(seen.agents_available, around)}"
        case Cause.TROUBLE:
            where = _of_pods(seen.pods_in_trouble, seen)
            return f"process pool empty: processes do not start on {where} ({seen.agent_trouble}), {_starts(around)}"
        case Cause.POD_LEAVING:
            leaving = f"{seen.pods_draining} draining, {seen.pods_silent} silent"
            return f"process pool empty: {seen.agents_elsewhere} ready on pods that take no sessions ({leaving})"
        case Cause.STARTING:
            stock = _stock(seen.agents_warming, seen.agent_target, around.waited_agent_s, around.next_agent_s)
            return f"process pool not filled yet since the start of {_of_pods(seen.pods_never_ready, seen)}: {stock}"
        case Cause.PROCESS_LIMIT:
            return "process pool empty, none warming: the pods are at their limit (VOICE_AGENT_MAX_PROCESSES)"
    stock = _stock(seen.agents_warming, seen.agent_target, around.waited_agent_s, around.next_agent_s)
    return f"process pool empty: {_starts(around)}, {stock}"


def _room_words(cause: str, seen: Circumstances, around: Around) -> str:
    match cause:
        case Cause.SWITCHED_OFF:
            return f"room pool switched off: {_why_nothing(seen.room_target_why)}"
        case Cause.CONTENDED:
            return f"room pool: {_all_claimed(seen.rooms_lasting, around)}"
        case Cause.TROUBLE:
            return f"room pool empty, and Daily cannot be used: {seen.daily_trouble}"
        case Cause.TOO_OLD:
            return f"room pool: {seen.rooms_available} in stock, none with enough life left for the longest session"
        case Cause.DAILY_BUDGET:
            return (
                f"room pool empty, and not replenished: {seen.daily_calls} calls to Daily in the last 5 s, "
                "the rest of the budget is for rooms on demand"
            )
        case Cause.STARTING:
            stock = _stock(seen.rooms_warming, seen.room_target, around.waited_room_s, around.next_room_s)
            return f"room pool not filled yet since the pods' start: {stock}"
    stock = _stock(seen.rooms_warming, seen.room_target, around.waited_room_s, around.next_room_s)
    return f"room pool empty: {_starts(around)}, {stock}"


def _why_nothing(why: str) -> str:
    """`paused by root@vm until 07:37:59 (why)`, where an override says so."""
    return "its target is 0" if why in ("", CONFIGURED) else why


def _of_pods(number: int, seen: Circumstances) -> str:
    return f"{number} of {counted(seen.pods, 'pod')}"


def _all_claimed(number: int, around: Around) -> str:
    return f"{number} in stock, each being claimed by another start at that moment ({_starts(around)})"


def _starts(around: Around) -> str:
    return f"{counted(around.starts_before, 'start')} in the {WINDOW_S:g} s before"


def _stock(warming: int, target: int, waited_s: float | None, next_s: float | None) -> str:
    then = ""
    if waited_s is not None:
        then = f"; this start waited {duration(waited_s)} for one"
    elif next_s is not None:
        then = f", the next ready {duration(next_s)} later"
    return f"{warming} warming of a target of {target}{then}"


def verdict(kind: str, steps: Sequence[Step]) -> str:
    """One sentence: how it started, how long that took, and what took longest."""
    acknowledged = time_to(Moment.ACKNOWLEDGED, steps)
    joined = time_to(Moment.BOT_JOINED, steps)
    taken = "never acknowledged" if acknowledged is None else f"acknowledged after {_duration(acknowledged)}"
    if joined is not None:
        taken += f", bot in the room after {_duration(joined)}"
    longest = slowest(steps)
    because = f"; longest: {longest.what} ({_duration(longest.ms)})" if longest and longest.ms else ""
    return f"{kind} start, {taken}{because}"


def in_words(kind: str, misses: Sequence[Miss], handoffs: Sequence[dict[str, Any]], steps: Sequence[Step]) -> list[str]:
    """The whole history, one line each: the verdict, why it missed, hand-offs that failed, the steps."""
    lines = [verdict(kind, steps)]
    lines += [f"miss: {miss.words}" for miss in misses]
    lines += [
        f"hand-off {failed.get('attempt')} to {failed.get('pod') or 'a process'} failed: {failed.get('problem')}"
        for failed in handoffs
    ]
    lines += [f"{_duration(step.end_ms):>10}  {step.moment:<14} +{_duration(step.ms):<9} {step.what}" for step in steps]
    return lines


def _duration(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"
