"""Makes one call, from its connect to its end, and times its steps: the unit that the measures repeat."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trials.client import Api, Connected
from trials.rows import Start
from trials.world import DidNotHappen, Sizes, World

STAY_S = 0.5  # of a simulated caller: long enough for the bot's pipeline to see it come
CROWD_STAY_S = 2.0  # where many bots start at once
START_S = 30.0


@dataclass(frozen=True)
class Call:
    connected: Connected
    start: Start

    @property
    def acknowledged(self) -> float:
        """The seconds from the request to the acknowledgement."""
        if self.start.active is None:
            raise DidNotHappen(f"session {self.connected.session} was not acknowledged")
        return self.start.active - self.connected.sent


def one_call(world: World, api: Api) -> Call:
    """Push a lead and connect it, wait until its session is active, and let a caller join, who leaves later."""
    connected = api.connect(api.push())
    start = active_starts(world, [connected])[0]
    world.sandbox.visit(connected, STAY_S)
    return Call(connected, start)


def calls_at_once(world: World, sizes: Sizes, clients: int, each: int) -> list[Call]:
    """Let `clients` callers, each with its own connection, connect `each` leads back to back. Waits for all ends."""
    apis = [world.api() for _ in range(clients)]
    try:
        leads = [[api.push() for _ in range(each)] for api in apis]
        connected = _in_threads(apis, leads)
    finally:
        for api in apis:
            api.close()
    calls = [Call(*pair) for pair in zip(connected, active_starts(world, connected), strict=True)]
    for call in calls:
        world.sandbox.visit(call.connected, CROWD_STAY_S)
    world.wait_until_settled(sizes, 120.0)
    return calls


def _in_threads(apis: Sequence[Api], leads: Sequence[Sequence[str]]) -> list[Connected]:
    barrier = threading.Barrier(len(apis))
    connected: list[Connected] = []
    problems: list[Exception] = []

    def client(api: Api, own: Sequence[str]) -> None:
        try:
            barrier.wait()
            connected.extend([api.connect(lead) for lead in own])
        except Exception as error:  # for the main thread to raise
            problems.append(error)

    threads = [threading.Thread(target=client, args=pair) for pair in zip(apis, leads, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return connected


def active_starts(world: World, connected: Sequence[Connected]) -> list[Start]:
    """Return the starts of these sessions, once all are acknowledged."""
    sessions = [each.session for each in connected]

    def all_active() -> list[Start]:
        starts = world.rows.starts(sessions)
        return starts if all(start.active is not None for start in starts) else []

    return world.wait_for("acknowledgement", all_active, START_S, step=0.01)


def kinds(calls: Sequence[Call], expected: str) -> tuple[str, ...]:
    """Return notes on the sessions' kinds of start and on repeated hand-offs."""
    starts = [call.start for call in calls]
    wrong = any(start.kind != expected for start in starts)
    return (*kinds_of(starts), f"NOT ALL {expected}") if wrong else kinds_of(starts)


def kinds_of(starts: Sequence[Start]) -> tuple[str, ...]:
    count = Counter(start.kind for start in starts)
    notes = [f"starts: {', '.join(f'{number} {kind}' for kind, number in count.most_common())}"]
    if again := sum(start.attempt > 1 for start in starts):
        notes.append(f"{again} handed off more than once")
    return tuple(notes)
