"""Pushes and connects at steady rates, with callers who join and leave; cancels the rest and accounts for all leads."""

import collections
import queue
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from trials.client import PREFIX, Api, Connected, Refused
from trials.load.traffic import Schedule, Sent, ask, at_rate
from trials.world import World

PUSHERS, CONNECTORS, VISITORS = 12, 12, 8
STAY_S = 0.5  # of a caller: the rate is that of starts, whatever a call is about
BATCH = 1000
RETRY_S = 1.0
TRIES = 30
LEAD = {"template": "demo", "reseller_id": "demo", "merchant_id": "demo", "execution_mode": "DAILY"}
UNFINISHED = "SELECT count(*) FROM leads_lead WHERE status <> 'FINISHED'"
OUTCOMES = "SELECT outcome, count(*) FROM leads_lead GROUP BY outcome"
STARTS = "SELECT start_kind, count(*) FROM pools_voicesession GROUP BY start_kind"


@dataclass
class Outcome:
    """The outcome of a run. `pushed`: ids that were answered with 201."""

    pushes: Sent = field(default_factory=Sent)
    connects: Sent = field(default_factory=Sent)
    bulks: Sent = field(default_factory=Sent)
    cancels: Sent = field(default_factory=Sent)
    pushed: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    no_visit: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    rate_limited: int = 0
    problems: list[str] = field(default_factory=list)


class Run:
    def __init__(self, world: World, *, pushes: float, connects: float, seconds: float, bulk: int) -> None:
        self._world = world
        self._pushes, self._connects, self._seconds, self._bulk = pushes, connects, seconds, bulk
        self._waiting: collections.deque[str] = collections.deque()
        self._visits: queue.Queue[Connected | None] = queue.Queue()
        self.outcome = Outcome()

    def all(self) -> Outcome:
        self._bulk_push()
        self._traffic()
        self._cancel_the_rest()
        self._world.wait_for("every lead finished", lambda: self._count(UNFINISHED) == 0, 120, step=0.5)
        self._account()
        return self.outcome

    def _traffic(self) -> None:
        begin = time.monotonic() + 1
        visitors = [threading.Thread(target=self._visit, daemon=True) for _ in range(VISITORS)]
        for visitor in visitors:
            visitor.start()
        senders = at_rate(PUSHERS, Schedule(self._pushes, self._seconds, begin), self._world.api, self._push)
        senders += at_rate(
            CONNECTORS, Schedule(self._connects, self._seconds, begin + 1), self._world.api, self._connect
        )
        while any(sender.is_alive() for sender in senders):
            self._world.pause(5)
            left = max(0.0, begin + self._seconds - time.monotonic())
            sys.stderr.write(
                f"  {left:5.0f} s left: {len(self.outcome.pushed)} pushed, {len(self.outcome.connected)} connected\n"
            )
        for _ in visitors:
            self._visits.put(None)
        for visitor in visitors:
            visitor.join()

    def _push(self, api: Api, due: float) -> None:
        body = {**LEAD, "request_id": f"load-{due:.3f}", "payload": {"customer_name": "Asha", "order": 1042}}
        status, answer = ask(api, self.outcome.pushes, due, "POST", f"{PREFIX}/leads", body)
        if status == 201:
            self.outcome.pushed.append(answer["lead_call_tracker_id"])
            self._waiting.append(answer["lead_call_tracker_id"])

    def _connect(self, api: Api, due: float) -> None:
        """Connect like a client: after a 503 the lead is still there, so try again later."""
        try:
            lead = self._waiting.popleft()
        except IndexError:
            self.outcome.problems.append("a connect had no lead: pushes were not answered in time")
            return
        for _ in range(TRIES):
            status, answer = ask(api, self.outcome.connects, due, "POST", f"{PREFIX}/connect", {"lead_id": lead})
            if status == 200:
                self.outcome.connected.append(lead)
                room, token, session = answer["room_url"], answer["token"], answer["session_id"]
                self._visits.put(Connected(uuid.UUID(session), room, token, 0, 0))
                return
            if status not in (0, 503):
                break
            time.sleep(RETRY_S)
            due = time.monotonic()
        self.outcome.given_up.append(lead)

    def _visit(self) -> None:
        while connected := self._visits.get():
            try:
                self._world.sandbox.visit(connected, STAY_S)
            except (Refused, OSError):
                self.outcome.no_visit += 1  # its session ends as one to which nobody came

    def _bulk_push(self) -> None:
        with self._world.api() as api:
            for first in range(0, self._bulk, BATCH):
                numbers = range(first, min(first + BATCH, self._bulk))
                body = {"leads": [{**LEAD, "request_id": f"bulk-{number}", "payload": {}} for number in numbers]}
                status, answer = ask(api, self.outcome.bulks, time.monotonic(), "POST", f"{PREFIX}/leads/bulk", body)
                if status != 200 or answer["queued"] != len(numbers):
                    self.outcome.problems.append(f"bulk push: {status}, queued {answer and answer.get('queued')}")
                    continue
                self.outcome.pushed += [one["lead_call_tracker_id"] for one in answer["results"]]

    def _cancel_the_rest(self) -> None:
        """Cancel the leads that were not connected: they would wait for ever."""
        rest = sorted(set(self.outcome.pushed) - set(self.outcome.connected))
        with self._world.api() as api:
            for first in range(0, len(rest), BATCH):
                leads = [{"lead_id": one, "cancellation_reason": "load"} for one in rest[first : first + BATCH]]
                status, answer = ask(
                    api, self.outcome.cancels, time.monotonic(), "POST", f"{PREFIX}/lead/abort", {"leads": leads}
                )
                if status != 200 or any(one["status"] != "success" for one in answer["leads"]):
                    self.outcome.problems.append(f"cancelling: {status}")

    def _account(self) -> None:
        outcome = self.outcome
        stored = {str(row[0]) for row in self._world.rows.rows("SELECT uuid FROM leads_lead")}
        outcome.outcomes = dict(self._world.rows.rows(OUTCOMES))
        outcome.starts = dict(self._world.rows.rows(STARTS))
        if lost := set(outcome.pushed) - stored:
            outcome.problems.append(f"{len(lost)} leads were acknowledged and are not there")
        if len(set(outcome.pushed)) != len(outcome.pushed):
            outcome.problems.append("a lead was acknowledged twice")
        unknown = len(stored) - len(set(outcome.pushed))
        if unknown > outcome.pushes.statuses.get("TimeoutError", 0):
            outcome.problems.append(f"{unknown} leads are there that were not acknowledged")
        if outcome.outcomes.get("ABORT", 0) != len(outcome.pushed) - len(outcome.connected):
            outcome.problems.append(f"cancelled {outcome.outcomes.get('ABORT')} of what was not connected")
        for name, sent, good in (("pushes", outcome.pushes, "201"), ("bulk pushes", outcome.bulks, "200")):
            if set(sent.statuses) - {good}:
                outcome.problems.append(f"{name}: {sent.statuses}")
        if set(outcome.connects.statuses) - {"200", "503"} or outcome.given_up:
            outcome.problems.append(f"connects: {outcome.connects.statuses}, given up {len(outcome.given_up)}")

    def _count(self, query: str) -> Any:
        return self._world.rows.rows(query)[0][0]
