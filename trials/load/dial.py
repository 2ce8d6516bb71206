"""A campaign: telephony leads pushed in bulk and dialled, while web callers push and connect.

First a few hundred at Daily's documented rate (5 in 5 s), then the rest with that limit raised, in the sandbox and in
the service, at the concurrency that the template allows. What must hold: every lead ends, no telephone is dialled
twice, Daily's limit is never met, the template never has more calls than it allows, no web caller is turned away.
"""

import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from trials.chaos.callers import Answer
from trials.chaos.fleet_world import FleetWorld
from trials.client import PREFIX
from trials.console import say
from trials.world import DidNotHappen

LEADS, AT_DAILYS_RATE = 10_000, 300
PODS = 2
BULK = 1000
CONCURRENCY = 40  # that the template allows
RAISED = 100  # dials in 5 s
WEB_RATE, WEB_STAY = 1.0, (0.5, 2.0)  # callers a second (Poisson), seconds that each stays
SAMPLE_S, SAY_S = 0.5, 15.0
SLOWEST_S = 0.5  # a lead takes no longer than this on average, or the run has stalled
SCRIPTS = (  # of every ten telephones
    *[{"behaviour": "answer", "after_s": 0.3, "talk_s": 1.5}] * 6,
    {"behaviour": "busy", "after_s": 0.2},
    {"behaviour": "no_answer", "after_s": 1.0},
    {"behaviour": "rings_out", "after_s": 1.0},
    {"behaviour": "fail", "after_s": 0.2},
)
VARIABLES = {
    "VOICE_AGENT_POOL_SIZE": "8",
    "VOICE_AGENT_MAX_POOL_SIZE": "8",
    "DAILY_ROOM_POOL_SIZE": "16",
    "DAILY_ROOM_MAX_POOL_SIZE": "16",
    "WEB_RESERVE_PAIRS": "3",
    "WEB_RESERVE_SLOTS": "15",
    "BULK_PUSH_RATE": "1000/min",
}
PHONE_LEADS = "FROM leads_lead WHERE execution_mode = 'TELEPHONY'"


@dataclass(frozen=True)
class WebCallers:
    """The connects of web callers during a phase; times in milliseconds."""

    connects: int
    refused: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    starts: dict[str, int]


@dataclass(frozen=True)
class Phase:
    name: str
    leads: int
    push_seconds: float
    seconds: float
    dials_a_second: float
    most_dials_in_5_s: int
    allowed_in_5_s: int
    most_calls_at_once: int
    web: WebCallers


@dataclass
class Figures:
    pushed: int
    push_seconds: float
    phases: list[Phase]
    outcomes: dict[str, int]
    dialled: int
    dialled_twice: int
    rate_limited: int
    unfinished: int
    concurrency: int = CONCURRENCY
    cpus: int = field(default_factory=lambda: os.cpu_count() or 0)

    @property
    def problems(self) -> list[str]:
        checks = {
            "leads that have not ended": self.unfinished,
            "telephones dialled twice": self.dialled_twice,
            "leads that ended without a dial": self.pushed - self.dialled - self.outcomes.get("UNKNOWN", 0),
            "calls over Daily's limits": self.rate_limited,
            "calls beyond what the template allows": max(p.most_calls_at_once for p in self.phases) - self.concurrency,
            "web callers turned away": sum(phase.web.refused for phase in self.phases),
            "phases without web callers": sum(not phase.web.connects for phase in self.phases),
        }
        return [f"{what}: {number}" for what, number in checks.items() if number > 0]

    @property
    def holds(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"problems": self.problems}

    def in_words(self) -> str:
        lines = [f"{self.pushed} leads pushed in bulk in {self.push_seconds:.1f} s; {self.cpus} CPUs"]
        for phase in self.phases:
            web = phase.web
            starts = ", ".join(f"{kind} {number}" for kind, number in sorted(web.starts.items()))
            lines += [
                f"{phase.name}: {phase.leads} leads in {phase.seconds:.0f} s, {phase.dials_a_second:.2f} dials/s,"
                f" at most {phase.most_dials_in_5_s} in 5 s (allowed {phase.allowed_in_5_s}),"
                f" at most {phase.most_calls_at_once} calls at once (allowed {self.concurrency})",
                f"    web callers: {web.connects} connects, {web.refused} refused, p50 {web.p50_ms:.0f} ms,"
                f" p95 {web.p95_ms:.0f} ms, p99 {web.p99_ms:.0f} ms; {starts}",
            ]
        outcomes = ", ".join(f"{word} {number}" for word, number in sorted(self.outcomes.items()))
        lines += [
            f"outcomes: {outcomes}",
            f"dialled {self.dialled}, twice {self.dialled_twice}, 429s {self.rate_limited},"
            f" not ended {self.unfinished}",
            "holds" if self.holds else f"DOES NOT HOLD: {'; '.join(self.problems)}",
        ]
        return "\n".join(lines)


def run(world: FleetWorld, *, leads: int, at_dailys_rate: int) -> Figures:
    world.tables.rows("UPDATE leads_template SET max_concurrent_calls = %s WHERE name = 'demo'", [CONCURRENCY])
    _script_phones(world, leads)
    world.pods(PODS)
    phases = [_phase(world, "at Daily's rate", 0, at_dailys_rate, 5)]
    world.fleet.end()
    world.daily.call("PUT", "/sandbox/limits", {"groups": {"start": {"limit": RAISED, "seconds": 5}}})
    world.pods(PODS, DAILY_DIAL_LIMIT=str(RAISED))
    phases.append(_phase(world, "limit raised", at_dailys_rate, leads, RAISED))
    counters = world.daily.counters()
    outcomes = world.tables.rows(f"SELECT outcome, count(*) {PHONE_LEADS} GROUP BY outcome")
    return Figures(
        pushed=world.tables.number(f"SELECT count(*) {PHONE_LEADS}"),
        push_seconds=sum(phase.push_seconds for phase in phases),
        phases=phases,
        outcomes={outcome or "(none)": number for outcome, number in outcomes},
        dialled=counters["phones"]["dialled"],
        dialled_twice=counters["phones"]["twice"],
        rate_limited=counters["rate_limited"],
        unfinished=_unfinished(world),
    )


def number_of(lead: int) -> str:
    return f"+9190000{lead:05}"


def _script_phones(world: FleetWorld, leads: int) -> None:
    say(f"{leads} telephones, six of ten are answered")
    world.daily.call("PUT", "/sandbox/phones", SCRIPTS[0])
    for lead in range(leads):
        if (script := SCRIPTS[lead % len(SCRIPTS)]) is not SCRIPTS[0]:
            world.daily.call("PUT", f"/sandbox/phones/{number_of(lead)}", script)


def _push(world: FleetWorld, first: int, end: int) -> float:
    """Push leads in bulk and return the seconds it took."""
    began, line = time.monotonic(), world.line()
    queued = 0
    for begin in range(first, end, BULK):
        leads = [_lead(number) for number in range(begin, min(begin + BULK, end))]
        status, answer, _ = line.request("POST", f"{PREFIX}/leads/bulk", {"leads": leads})
        if status != 200 or answer["failed"]:
            raise DidNotHappen(f"a bulk push was answered {status}: {str(answer)[:300]}")
        queued += answer["queued"]
    line.close()
    say(f"{queued} leads pushed")
    return time.monotonic() - began


def _lead(number: int) -> dict[str, Any]:
    return {
        "request_id": f"campaign-{number}",
        "template": "demo",
        "reseller_id": "demo",
        "merchant_id": "demo",
        "execution_mode": "TELEPHONY",
        "payload": {"customer_mobile_number": number_of(number)},
    }


def _phase(world: FleetWorld, name: str, first: int, end: int, allowed: int) -> Phase:
    """Push leads and wait until all telephony leads have ended, while web callers connect."""
    leads = end - first
    say(f"{name}: {leads} leads, {allowed} dials in 5 s allowed")
    before, answered = len(world.daily.call("GET", "/sandbox/dials")[1]["dials"]), len(world.answers)
    began, said = time.monotonic(), time.monotonic()
    most = 0
    world.callers.arrive(WEB_RATE, WEB_STAY)
    push_seconds = _push(world, first, end)
    while left := _unfinished(world):
        most = max(most, world.tables.number(f"SELECT count(*) {PHONE_LEADS} AND status = 'PROCESSING'"))
        now = time.monotonic()
        if now - said > SAY_S:
            said = now
            say(f"{left} leads to go, {(leads - left) / (now - began):.1f} a second")
        if now - began > 120 + leads * max(SLOWEST_S, 5 / allowed * 1.5):
            raise DidNotHappen(f"{left} leads have not ended after {now - began:.0f} s")
        world.pause(SAMPLE_S)
    seconds = time.monotonic() - began
    world.callers.pause()
    dials = [dial["dialled_at"] for dial in world.daily.call("GET", "/sandbox/dials")[1]["dials"]][before:]
    return Phase(
        name=name,
        leads=leads,
        push_seconds=push_seconds,
        seconds=seconds,
        dials_a_second=(len(dials) - 1) / (dials[-1] - dials[0]) if len(dials) > 1 else 0.0,
        most_dials_in_5_s=most_within(dials, 5.0),
        allowed_in_5_s=allowed,
        most_calls_at_once=most,
        web=_web_callers(world, world.answers[answered:]),
    )


def _unfinished(world: FleetWorld) -> int:
    return world.tables.number(f"SELECT count(*) {PHONE_LEADS} AND status <> 'FINISHED'")


def most_within(times: list[float], seconds: float) -> int:
    """Return how many of these sorted moments lie within one span of `seconds` at most."""
    most = first = 0
    for last, moment in enumerate(times):
        while times[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _web_callers(world: FleetWorld, answers: list[Answer]) -> WebCallers:
    served = [answer for answer in answers if answer.session]
    milliseconds = sorted(answer.seconds * 1000 for answer in served) or [0.0]
    sessions = world.tables.sessions([answer.session for answer in served if answer.session])
    p50, p95, p99 = (milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * q))] for q in (0.5, 0.95, 0.99))
    kinds = Counter(session.kind for session in sessions.values())
    return WebCallers(len(answers), len(answers) - len(served), p50, p95, p99, dict(kinds))
