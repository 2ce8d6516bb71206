"""Rows 5 and 12: a supervisor killed or paused among others; two pods with one name."""

import signal
import time
from collections.abc import Iterator

from trials.chaos import processes
from trials.chaos.callers import Answer
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet import Pod
from trials.chaos.fleet_world import FleetWorld

PAUSE_S = 30.0
REAPED = "SELECT count(*) FROM pools_pod WHERE name = %s AND ended_at IS NULL"
ROOMS_OF = """
    SELECT count(*) FROM pools_room r JOIN pools_pod p ON p.id = r.pod_id WHERE p.name = %s AND r.status = 'available'
"""
CALLS_OF = """
    SELECT s.uuid::text FROM pools_voicesession s JOIN pools_agentprocess a ON a.id = s.agent_process_id
      JOIN pools_pod p ON p.id = a.pod_id WHERE p.name = %s AND s.status = 'active'
"""
IDLE_OF = """
    SELECT a.os_pid FROM pools_agentprocess a JOIN pools_pod p ON p.id = a.pod_id
     WHERE p.name = %s AND a.status = 'available'
"""


def killed(world: FleetWorld) -> Iterator[Finding]:
    pods = world.pods(3)
    line = world.line()
    calls = [world.call(line) for _ in range(6)]
    world.wait_until_full()
    victim = pods[0]
    its_calls = _calls_of(world, calls, victim)
    rooms = world.daily.rooms()
    world.callers.arrive(10.0, (1.0, 3.0))
    world.pause(0.5)
    its_idle = [row[0] for row in world.tables.rows(IDLE_OF, [victim.name])]
    at, began = time.time(), time.monotonic()
    victim.kill()
    world.wait_for("its idle processes gone", lambda: not any(map(processes.is_agent, its_idle)), 10)
    yield times(5, "supervisor killed to its idle processes gone", [time.monotonic() - began], 1.0)
    world.pause(4.0)
    world.callers.pause()
    yield from _taken_by_others(world, 5, at)
    world.wait_for("its row reaped", lambda: not world.tables.number(REAPED, [victim.name]), 80)
    yield times(5, "supervisor killed to its rows reaped", [time.monotonic() - began], 15.0, starved=60.0)
    adopted = not world.tables.number(ROOMS_OF, [victim.name]) and len(rooms & world.daily.rooms()) >= len(calls)
    yield fact(5, "its rooms are adopted", adopted)
    world.pause(16.0)  # presence is looked at every 15 s: whoever would cut a call has done so by now
    going_on = all(world.session(c).status == "active" for c in its_calls) and all(
        str(c.session) in world.daily.bots() for c in its_calls
    )
    yield fact(5, "its calls go on", going_on, f"{len(its_calls)} calls")
    for call in calls:
        world.hang_up(call)
    for call in calls:
        world.wait_until_over(call)
    reasons = sorted({world.session(call).reason for call in its_calls})
    yield fact(5, "their ends are recorded, with the result", reasons in ([], ["caller_left"]), reasons)
    line.close()
    world.wait_until_level()


def paused(world: FleetWorld) -> Iterator[Finding]:
    pods = world.pods(3)
    second = world.fleet.start(pods[0].name)
    second.process.wait(20)
    refused = "is running on" in second.output() and second.process.returncode != 0
    yield fact(12, "a second runpools of one name refuses to start", refused)
    line = world.line()
    calls = [world.call(line) for _ in range(6)]
    world.wait_until_full()
    victim = pods[0]
    its_calls = _calls_of(world, calls, victim)
    world.callers.arrive(5.0, (1.0, 2.0))
    world.pause(0.3)
    at = time.time()
    victim.signal(signal.SIGSTOP)
    world.pause(PAUSE_S)
    reaped = not world.tables.number(REAPED, [victim.name])
    yield fact(12, "one paused beyond its lease is reaped", reaped)
    victim.signal(signal.SIGCONT)
    began = time.monotonic()
    world.wait_for("it finds out", victim.says("event=pod_was_reaped"), 15)
    yield times(12, "continued to knowing that it was reaped", [time.monotonic() - began], 3.0)
    world.callers.pause()
    yield from _taken_by_others(world, 12, at)
    untouched = all(world.session(call).status == "active" for call in its_calls)
    yield fact(12, "its calls go on", untouched, f"{len(its_calls)} calls")
    for call in calls:
        world.hang_up(call)
    for call in calls:
        world.wait_until_over(call)
    world.wait_for("its end", lambda: not victim.runs, 30)
    yield fact(12, "it stops when its calls are over", victim.process.returncode == 0, victim.process.returncode)
    line.close()
    world.wait_until_level()


LEFT = """
    SELECT count(*) FROM pools_agentprocess a JOIN pools_pod p ON p.id = a.pod_id
     WHERE p.ended_at IS NOT NULL AND a.status <> 'ended'
"""
WEBHOOK = "SELECT count(*) FROM pools_dailyaccount WHERE webhook_active_at IS NOT NULL"
PRESENCE_S = 15.0


def host_lost(world: FleetWorld) -> Iterator[Finding]:
    """Its supervisor, and once that is reaped the calls that went on without it: only Daily's webhooks tell of them."""
    victim, _ = world.pods(2, PUBLIC_URL=world.url)
    world.wait_for("our webhook at Daily", lambda: world.tables.number(WEBHOOK), 60)
    line = world.line()
    calls = [world.call(line) for _ in range(6)]
    its_calls = _calls_of(world, calls, victim)
    began = time.monotonic()
    victim.kill()
    world.wait_for("its row reaped", lambda: not world.tables.number(REAPED, [victim.name]), 60)
    yield times(17, "host lost to its pod's row reaped", [time.monotonic() - began], 15.0, starved=60.0)
    at = time.time()
    for call in its_calls:
        processes.strike(world.session(call).pid or 0, signal.SIGKILL)
    for call in its_calls:
        world.wait_until_over(call, 90)
    ends = [seconds for call in its_calls for seconds in world.session(call).ended_after(at)]
    yield times(17, "its calls cut to their ends recorded, as Daily's webhooks tell", ends, PRESENCE_S / 3)
    reasons = sorted({world.session(call).reason for call in its_calls})
    yield fact(17, "they end as supervisor_lost", reasons == ["supervisor_lost"], f"{len(ends)} calls: {reasons}")
    world.wait_for("no process of an ended pod", lambda: not world.tables.number(LEFT), 60)
    yield times(17, "to no row of a process of the lost pod left", [time.time() - at], 15.0)
    for call in calls:
        if call not in its_calls:
            world.hang_up(call)
    line.close()
    world.wait_until_level()


def _calls_of(world: FleetWorld, calls: list[Answer], pod: Pod) -> list[Answer]:
    own = {row[0] for row in world.tables.rows(CALLS_OF, [pod.name])}
    return [call for call in calls if str(call.session) in own]


def _taken_by_others(world: FleetWorld, row: int, since: float) -> Iterator[Finding]:
    """Sessions asked from shortly before until 4 s after: how long they waited for an acknowledgement at most."""
    asked = [a for a in list(world.answers) if a.session and since - 0.5 < a.sent < since + 4.0]
    found = world.tables.sessions([a.session for a in asked if a.session])
    waits = [s for a in asked if a.session for s in found[a.session].acknowledged_after(a.sent)]
    note = f"{sum(session.attempt > 1 for session in found.values())} re-handed"
    yield times(row, "asked at that time to acknowledged (by others)", waits, 5.0, note)
