"""Row 4: the fork server killed during a call, with empty pools, and twice in a row."""

import signal
import time
from collections.abc import Iterator

from trials.chaos import processes
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet import Pod
from trials.chaos.fleet_world import FleetWorld

NEW_ZYGOTE_S = 3.0
PATIENT_S = 15.0
LIVED_S = 11.0  # one that dies sooner counts as one that does not come up


def killed(world: FleetWorld) -> Iterator[Finding]:
    (pod,) = world.pods(1)
    line = world.line()
    call = world.call(line)
    world.wait_until_full()
    idle = set(world.tables.available_pids())
    world.pause(LIVED_S)
    seconds = [_kill_and_wait(world, pod)]
    stayed = world.session(call).status == "active" and str(call.session) in world.daily.bots()
    yield fact(4, "a call goes on when its zygote dies", stayed)
    yield fact(4, "available processes stay", idle <= set(world.tables.available_pids()))
    yield times(4, "zygote killed to a new one ready", seconds, NEW_ZYGOTE_S)
    world.pause(LIVED_S)
    zygote = pod.zygotes()[-1]
    processes.strike(zygote, signal.SIGKILL)
    burst = [world.connect(line) for _ in range(6)]  # more than there are
    for answer in burst:
        world.wait_until_in_room(answer)
        world.daily.visit(answer.room, answer.token, 0.5)
    waited = [s for answer in burst for s in world.session(answer).acknowledged_after(answer.sent)]
    yield times(4, "asked at the zygote's death, beyond the stock, to acknowledged", waited, NEW_ZYGOTE_S + 1)
    yield from _twice(world, pod)
    world.hang_up(call)
    world.wait_until_over(call)
    line.close()
    world.wait_until_level()


def _twice(world: FleetWorld, pod: Pod) -> Iterator[Finding]:
    """Kill the second and third zygote early: after that agents are spawned."""
    for _ in range(2):
        world.wait_for("a zygote", lambda: _current(pod) is not None, 20)
        _kill_and_wait(world, pod, again=False)
    line = world.line()
    began = time.monotonic()
    burst = [answer for _ in range(6) if (answer := world.connect(line)).session]
    for answer in burst:
        world.daily.visit(answer.room, answer.token, PATIENT_S)
    for answer in burst:
        world.wait_until_over(answer, 60)
    line.close()
    served = [answer for answer in burst if world.session(answer).joined]
    spawned = world.tables.number("SELECT count(*) FROM pools_agentprocess WHERE start_method = 'spawn'")
    note = f"{spawned} spawned; {len(served)} of 6 served in {time.monotonic() - began:.1f} s"
    yield fact(4, "after two failed starts processes are spawned, and sessions served", spawned and served, note)


def _current(pod: Pod) -> int | None:
    zygotes = pod.zygotes()
    return zygotes[-1] if zygotes and processes.is_agent(zygotes[-1]) else None


def _kill_and_wait(world: FleetWorld, pod: Pod, again: bool = True) -> float:
    """Return the seconds until there is a new zygote (unless `again`: until this one is gone)."""
    zygotes = pod.zygotes()
    began = time.monotonic()
    processes.strike(zygotes[-1], signal.SIGKILL)
    if again:
        world.wait_for("a new zygote", lambda: len(pod.zygotes()) > len(zygotes), 20)
    else:
        world.wait_for("its death", lambda: not processes.is_agent(zygotes[-1]), 5)
    return time.monotonic() - began
