"""Compares what the database, Daily and the process table say. A pure function of the three."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Database:
    """`sessions`: session -> room, of those acknowledged and not over; `rooms`: in stock or in use; `fading`: over but
    not yet deleted at Daily, or being made; `pids`: of processes that are not ended; `stuck_leads`: PROCESSING without
    a session that is going on."""

    sessions: dict[str, str]
    rooms: set[str]
    fading: set[str]
    pids: set[int]
    stuck_leads: int = 0


@dataclass(frozen=True)
class AtDaily:
    """`bots`: room -> user ids of its owners, which are the sessions' ids; `callers`: rooms with somebody else in."""

    rooms: set[str]
    bots: dict[str, list[str]] = field(default_factory=dict)
    callers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Audit:
    """The disagreements; all empty when everything agrees."""

    rooms_left_over: list[str]
    rooms_missing: list[str]
    processes_left_over: list[int]
    processes_missing: list[int]
    bots_left_over: list[str]
    bots_missing: list[str]
    two_bots: list[str]
    stuck_leads: int

    @property
    def agrees(self) -> bool:
        return not any(vars(self).values())

    def in_words(self) -> str:
        wrong = {name: value for name, value in vars(self).items() if value}
        return "; ".join(f"{name}: {value}" for name, value in wrong.items()) or "database, Daily and processes agree"


def compare(database: Database, daily: AtDaily, processes: set[int]) -> Audit:
    """`processes`: pids of agents that run."""
    bots = Counter(session for sessions in daily.bots.values() for session in sessions)
    return Audit(
        rooms_left_over=sorted(daily.rooms - database.rooms - database.fading),
        rooms_missing=sorted(database.rooms - daily.rooms),
        processes_left_over=sorted(processes - database.pids),
        processes_missing=sorted(database.pids - processes),
        bots_left_over=sorted(bots.keys() - database.sessions.keys()),
        bots_missing=sorted(database.sessions.keys() - bots.keys()),
        two_bots=sorted(room for room, sessions in daily.bots.items() if len(sessions) > 1),
        stuck_leads=database.stuck_leads,
    )
