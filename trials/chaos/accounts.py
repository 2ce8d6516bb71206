"""Accounts for every connect: asked = served warm + partial + cold + given back + refused + failed + lost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trials.chaos.callers import Answer
from trials.chaos.tables import Session

GIVEN_BACK = "not_started"


@dataclass(frozen=True)
class Accounts:
    """`rehanded` are among the served; `given_back`: answered 200, but no bot came and the lead is in its backlog
    again; `failed`: no answer, or one that is neither 200 nor 503; `silent_refusals`: 503 without Retry-After;
    `lost`: answered 200, yet neither acknowledged nor ended with a recorded reason; `double`: a room or a process that
    served two sessions, or a second bot in a room."""

    asked: int
    warm: int
    partial: int
    cold: int
    rehanded: int
    given_back: int
    refused: int
    silent_refusals: int
    failed: int
    lost: int
    double: int
    ends: dict[str, int]
    failures: dict[str, int]
    rate_limited: int

    @property
    def hold(self) -> bool:
        return not (self.lost or self.double or self.failed or self.silent_refusals)

    def in_words(self) -> str:
        served = self.warm + self.partial + self.cold
        return (
            f"asked {self.asked}, served {served} (warm {self.warm}, partial {self.partial}, cold {self.cold}), "
            f"re-handed {self.rehanded}, given back {self.given_back}, refused (503) {self.refused}, "
            f"failed {self.failed}, lost {self.lost}, double {self.double}"
        )


def settle(
    answers: Sequence[Answer],
    sessions: Mapping[UUID, Session],
    acknowledgements: Sequence[tuple[str, str]],
    counters: Mapping[str, Any],
) -> Accounts:
    """Account for all answers, once nothing is in progress.

    `acknowledgements`: (session, agent) as the pods logged them. `counters` are the sandbox's.
    """
    connected = [answer.session for answer in answers if answer.session]
    found = [sessions[uuid] for uuid in connected if uuid in sessions]
    served = [session for session in found if session.active and session.reason != GIVEN_BACK]
    given_back = [session for session in found if session.reason == GIVEN_BACK]
    lost = len(connected) - len(found) + sum(not (s.status == "ended" and s.reason) for s in found)
    kinds = Counter(session.kind for session in served)
    refusals = [answer for answer in answers if answer.status == 503]
    failures = [answer for answer in answers if answer.status not in (200, 503)]
    return Accounts(
        asked=len(answers),
        warm=kinds["prejoined"] + kinds["warm"],
        partial=kinds["partial"],
        cold=kinds["cold"],
        rehanded=sum(session.attempt > 1 for session in served),
        given_back=len(given_back),
        refused=len(refusals),
        silent_refusals=sum(not answer.retry_after for answer in refusals),
        failed=len(failures),
        lost=lost,
        double=_doubles(found, acknowledgements, counters),
        ends=dict(Counter(session.reason for session in found)),
        failures=dict(Counter(f"{answer.status} {answer.detail}" for answer in failures)),
        rate_limited=int(counters["rate_limited"]),
    )


def _doubles(
    sessions: Sequence[Session], acknowledgements: Sequence[tuple[str, str]], counters: Mapping[str, Any]
) -> int:
    """Count doubles by the rows, the pods' logs, and the sandbox, which ejects the first of two bots with one id."""
    rooms = Counter(session.room for session in sessions)
    agents = Counter(agent for agent, _ in {(agent, session) for session, agent in acknowledgements})
    put_out = int(counters["ejected"].get("duplicate-user-id", 0))
    return put_out + sum(count - 1 for count in (*rooms.values(), *agents.values()))
