"""Rows 1 to 3: agent processes killed and paused before, during and after the claim, and in a call."""

import random
import signal
import threading
import time
from collections.abc import Iterator

from trials.chaos import processes
from trials.chaos.callers import Answer, Line
from trials.chaos.findings import Finding, fact, times
from trials.chaos.fleet_world import FleetWorld

ROUNDS = 10
MS_AFTER_SENDING = (0.0, 8.0)  # when a strike "during" the claim falls
STAY_S = 0.5
HANG_NOTICED_S = 60.0  # two pings in a call, 20 s each, and room for chance


def killed_around_the_claim(world: FleetWorld) -> Iterator[Finding]:
    world.pods(1)
    yield from _rounds(world, 1, "killed", signal.SIGKILL, limit=0.3)


def hung_around_the_claim(world: FleetWorld) -> Iterator[Finding]:
    world.pods(1)
    yield from _rounds(world, 2, "paused", signal.SIGSTOP, limit=1.5)


def _rounds(world: FleetWorld, row: int, word: str, number: signal.Signals, limit: float) -> Iterator[Finding]:
    for moment, strike in (("before", _before), ("during", _during), ("after", _after)):
        struck, seconds = [], []
        line = world.line()
        for _ in range(ROUNDS):
            world.wait_until_full()
            answer, at = strike(world, line, number)
            struck.append((answer, at))
            world.wait_for("acknowledgement", lambda a=answer: _is_running(world, a), 20)  # type: ignore[misc]
            world.daily.visit(answer.room, answer.token, STAY_S)
        for answer, at in struck:
            session = world.session(answer)
            if session.attempt > 1 and session.active:
                seconds.append(session.active - max(at, answer.sent))
        line.close()
        if moment == "before" and not seconds:
            yield fact(row, f"{word} just before the claim: another was claimed, {ROUNDS} times", True)
        else:
            what = f"{word} {moment} the claim to acknowledged elsewhere"
            yield times(row, what, seconds, limit, f"{len(seconds)} of {ROUNDS} were re-handed")
    world.wait_until_level()


def _is_running(world: FleetWorld, answer: Answer) -> bool:
    """Wait until the bot is in its room: a fault may have struck after the first acknowledgement."""
    session = world.session(answer)
    return session.status == "ended" or str(answer.session) in world.daily.bots()


def _before(world: FleetWorld, line: Line, number: signal.Signals) -> tuple[Answer, float]:
    pid = world.tables.newest_available()
    at = time.time()
    if pid:
        processes.strike(pid, number)
    return world.connect(line), at


def _during(world: FleetWorld, line: Line, number: signal.Signals) -> tuple[Answer, float]:
    pid = world.tables.newest_available()
    lead = line.push()
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(world.connect(line, lead)))
    caller.start()
    time.sleep(random.uniform(*MS_AFTER_SENDING) / 1000)  # noqa: S311
    at = time.time()
    if pid:
        processes.strike(pid, number)
    caller.join()
    return answers[0], at


def _after(world: FleetWorld, line: Line, number: signal.Signals) -> tuple[Answer, float]:
    answer = world.connect(line)
    pid = world.session(answer).pid
    at = time.time()
    if pid:
        processes.strike(pid, number)
    return answer, at


def lost_in_a_call(world: FleetWorld) -> Iterator[Finding]:
    world.pods(2)
    line = world.line()
    bystander = world.call(line)
    died, hung = world.call(line), world.call(line)
    yield from _ended(world, 3, "killed in a call", died, signal.SIGKILL, limit=1.0)
    yield from _ended(world, 3, "paused in a call", hung, signal.SIGSTOP, limit=HANG_NOTICED_S)
    still = world.session(bystander).status == "active" and str(bystander.session) in world.daily.bots()
    yield fact(3, "other calls are untouched", still)
    world.hang_up(bystander)
    world.wait_until_over(bystander)
    world.wait_until_level()
    world.wait_for("their rooms gone", lambda: not {died.room, hung.room} & world.daily.rooms(), 60, step=0.2)
    yield fact(3, "rooms gone, stock restored", True)
    line.close()


def _ended(
    world: FleetWorld, row: int, what: str, answer: Answer, number: signal.Signals, limit: float
) -> Iterator[Finding]:
    at = time.time()
    processes.strike(world.session(answer).pid or 0, number)
    world.wait_until_over(answer, limit + 10)
    session = world.session(answer)
    line = world.line()
    finished = line.lead_status(answer.lead)
    line.close()
    yield times(row, f"{what} to its end recorded", session.ended_after(at), limit)
    right = (session.reason, finished) == ("agent_lost", "FINISHED")
    yield fact(row, f"{what}: ended with its reason, lead FINISHED", right, f"{session.reason}, {finished}")
