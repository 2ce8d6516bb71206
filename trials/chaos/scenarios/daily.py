"""Rows 8 and 9: Daily refuses, fails, hangs, forgets, is slow; Daily is down until nothing is left."""

import time
from collections.abc import Iterator
from typing import Any

from trials.chaos.callers import Line
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import LATENCY_S, FleetWorld

BAD_S = 6.0
DOWN_S = 20.0
STATUS = "/agent/voice/automatic/pool/rooms/status"
FAULTS: dict[str, dict[str, Any]] = {
    "429 storm": {"kind": "429", "retry_after": 1},
    "5xx": {"kind": "503"},
    "timeouts": {"kind": "timeout"},
    "connection dropped after the room was made": {"kind": "reset"},
    "key revoked": {"kind": "wrong_key"},
}


def bad_days(world: FleetWorld) -> Iterator[Finding]:
    world.pods(3)
    for name, details in FAULTS.items():
        first = len(world.answers)
        world.callers.arrive(3.0, (0.5, 1.0))
        world.daily.fail(**details)
        world.pause(BAD_S)
        trouble = _status(world)["reasons"]
        yield from _mended(world, name, first, trouble)
    first = len(world.answers)
    world.daily.slow(10.0)
    world.callers.arrive(3.0, (0.5, 1.0))
    world.pause(BAD_S)
    yield from _mended(world, "10 s latency", first, _status(world)["reasons"])


def _mended(world: FleetWorld, name: str, first: int, trouble: object) -> Iterator[Finding]:
    world.callers.pause()
    world.daily.mend(LATENCY_S)
    level = world.wait_until_level()
    answers = world.answers[first:]
    served = sum(answer.status == 200 for answer in answers)
    right = all(answer.status == 200 or (answer.status == 503 and answer.retry_after) for answer in answers)
    note = f"{served} of {len(answers)} served; level after {level:.1f} s; status said {trouble}"
    yield fact(8, f"{name}: 200 from stock, else 503 with Retry-After", right and served > 0, note)
    audit = world.audit()
    yield fact(8, f"{name}: every room made is known or removed", audit.agrees, audit.in_words())


def down(world: FleetWorld) -> Iterator[Finding]:
    world.pods(2)
    line = world.line()
    world.daily.fail("503")
    began = time.monotonic()
    answers = []
    while time.monotonic() - began < DOWN_S:
        answers.append(world.connect(line))
        if answers[-1].session:
            world.daily.visit(answers[-1].room, answers[-1].token, 0.5)
        world.pause(0.3)
    refused = [answer for answer in answers if answer.status == 503]
    note = f"{len(answers) - len(refused)} served from stock, then {len(refused)} refused"
    yield fact(9, "stock used up: 503 with Retry-After", bool(refused) and all(a.retry_after for a in refused), note)
    backlog = all(line.lead_status(answer.lead) == "BACKLOG" for answer in refused)
    yield fact(9, "the leads stay in BACKLOG", backlog)
    world.daily.mend(LATENCY_S)
    back = time.monotonic()
    again = world.wait_for("a refused lead connects", lambda: _served(world, line, refused[0].lead), 60, step=0.2)
    yield times(9, "Daily back to a refused lead served", [time.monotonic() - back], 10.0, again)
    world.wait_until_full()
    yield times(9, "Daily back to full pools", [time.monotonic() - back], 40.0)
    line.close()
    world.wait_until_level()


def _served(world: FleetWorld, line: Line, lead: str) -> bool:
    answer = world.connect(line, lead)
    if answer.session:
        world.daily.visit(answer.room, answer.token, 0.5)
    return answer.status == 200


def _status(world: FleetWorld) -> dict[str, Any]:
    line = world.line()
    try:
        status: dict[str, Any] = line.request("GET", STATUS)[1]
        return {"reasons": "", **status}
    finally:
        line.close()
