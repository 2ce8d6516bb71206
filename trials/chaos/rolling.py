"""Row 11: three pods restarted one after the other under load; then drains that are too long, and a second signal."""

import signal
import time
from collections.abc import Iterator

from trials.chaos.callers import Answer
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import FleetWorld

PODS = 3
SETTLE_S = 3.0
SHORT_DRAIN_S = 4.0
STOP_S = 8.0  # after the drain: calls are told to end, then killed
PIPECAT_BOT = "pools.agent.bots.default"


def rolling(world: FleetWorld, rate: float, drain_timeout_s: float, stay: tuple[float, float]) -> Iterator[Finding]:
    world.pods(PODS)
    first = len(world.answers)
    world.callers.arrive(rate, stay)
    world.pause(SETTLE_S)
    drains = []
    for pod in world.fleet.running():
        began = time.monotonic()
        pod.signal(signal.SIGTERM)
        world.wait_for(f"{pod.name} drained", lambda p=pod: not p.runs, drain_timeout_s + STOP_S + 10)  # type: ignore[misc]
        drains.append(time.monotonic() - began)
        yield fact(11, f"{pod.name} ended in order", pod.process.returncode == 0, pod.process.returncode)
        yield fact(11, "it logged its progress", "event=draining" in pod.output())
        world.fleet.start(pod.name)
        world.wait_until_full()
    world.pause(SETTLE_S)
    world.callers.pause()
    yield times(11, "SIGTERM to the end of a pod", drains, drain_timeout_s + STOP_S)
    world.wait_until_level()
    yield from _judged(world, world.answers[first:])


def _judged(world: FleetWorld, answers: list[Answer]) -> Iterator[Finding]:
    failed = [answer for answer in answers if answer.status != 200]
    reasons = {f"{answer.status} {answer.detail}" for answer in failed}
    yield fact(11, "no connect failed", not failed, f"{len(failed)} of {len(answers)} {reasons or ''}")
    sessions = world.tables.sessions([answer.session for answer in answers if answer.session])
    cut = [s.reason for s in sessions.values() if s.reason not in ("caller_left", "bot_ended")]
    yield fact(11, "no call was cut", not cut, f"{len(cut)} of {len(sessions)} {sorted(set(cut)) or ''}")
    waits = [s for a in answers if a.session for s in sessions[a.session].acknowledged_after(a.sent)]
    yield times(11, "connect to acknowledged, meanwhile", waits, 1.0)


def impatient(world: FleetWorld) -> Iterator[Finding]:
    """Stop a pod whose calls last longer than its drain, and a pod with a second SIGTERM."""
    world.fleet.end()
    (pod,) = world.pods(1, DRAIN_TIMEOUT=f"{SHORT_DRAIN_S:.0f}")
    line = world.line()
    call = world.call(line)
    began = time.monotonic()
    pod.signal(signal.SIGTERM)
    world.wait_for("its end", lambda: not pod.runs, 30)
    seconds = [time.monotonic() - began]
    yield times(11, f"a call outlasts DRAIN_TIMEOUT={SHORT_DRAIN_S:.0f}: to the end", seconds, SHORT_DRAIN_S + STOP_S)
    reason = world.session(call).reason
    yield fact(11, "what was cut is recorded", reason == "pod_stopped", reason)
    (pod,) = world.pods(1)
    call = world.call(line)
    pod.signal(signal.SIGTERM)
    world.wait_for("draining", pod.says("event=draining"), 10)
    began = time.monotonic()
    pod.signal(signal.SIGTERM)
    world.wait_for("its end", lambda: not pod.runs, 30)
    yield times(11, "a second SIGTERM to the end", [time.monotonic() - began], STOP_S)
    reason = world.session(call).reason
    yield fact(11, "what it cut is recorded", reason == "pod_stopped", reason)
    line.close()
    world.pods(1)  # somebody has to delete the rooms
    world.wait_until_level()
