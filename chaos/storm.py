"""Faults at random moments under load: processes, zygotes and supervisors killed and paused, in a random order.

A fault is a small function; the storm draws them until each has happened as often as was asked, or the time is over.
"""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from chaos import processes
from chaos.fleet import Pod
from chaos.world import World

PODS = 3
PAUSED_S = 12.0  # beyond the lease for reaping
AWAY_S = 3.0  # before a killed supervisor has a successor
BETWEEN_SUPERVISORS_S = 4.0  # at most one of the three is away
IN_CALL = """
    SELECT a.os_pid FROM pools_voicesession s JOIN pools_agentprocess a ON a.id = s.agent_process_id
     WHERE s.status = 'active' AND s.bot_joined_at IS NOT NULL AND a.os_pid IS NOT NULL
"""
FRESH = """
    SELECT a.os_pid FROM pools_voicesession s JOIN pools_agentprocess a ON a.id = s.agent_process_id
     WHERE s.status IN ('assigned', 'active') AND s.created_at > now() - interval '0.3 s' AND a.os_pid IS NOT NULL
"""


def nothing() -> None:
    pass


class Storm:
    """`done` counts the faults that have struck, by the row of the table."""

    def __init__(self, world: World, seed: int, spared: Pod | None = None) -> None:
        """`spared`: neither it nor its zygote is struck (its agents are)."""
        self._world = world
        self._spared = spared
        self._chance = random.Random(seed)  # noqa: S311
        self.done: Counter[int] = Counter()
        self._paused: list[tuple[float, Pod]] = []
        self._successors: list[tuple[float, str]] = []
        self._supervisor_due = 0.0

    def run(
        self, wanted: dict[int, int], seconds: float, aside: Callable[[], None] = nothing, whole_time: bool = False
    ) -> None:
        """Until each row of `wanted` has struck so often, for at most so long (or just so long); then everybody is put
        right again. `aside` is called at every turn."""
        faults: dict[int, Callable[[], bool]] = {
            1: lambda: self._strike(self._idle_or_fresh(), signal.SIGKILL),
            2: lambda: self._strike(self._idle_or_fresh(), signal.SIGSTOP),
            3: lambda: self._strike(self._pids(IN_CALL), signal.SIGKILL),
            4: self._kill_zygote,
            5: self._kill_supervisor,
            12: self._pause_supervisor,
        }
        began = time.monotonic()
        total = sum(wanted.values())
        while time.monotonic() - began < seconds:
            left = {row: number - self.done[row] for row, number in wanted.items() if number > self.done[row]}
            aside()
            self._tend()
            if not left:
                if not whole_time:
                    break
                self._world.pause(0.1)
                continue
            # Evenly over the time: who is behind is due; what is left over is waited for.
            pace = seconds * 0.9 * sum(self.done.values()) / total
            self._world.pause(self._chance.uniform(0.0, 0.05) if time.monotonic() - began > pace else 0.1)
            row = self._chance.choices(list(left), list(left.values()))[0]
            if time.monotonic() - began > pace or row in (4, 5, 12):
                self.done[row] += faults[row]()
        self._put_right()

    # --- faults: whether it struck ---------------------------------------------------------------------------

    def _strike(self, pids: Sequence[int], number: signal.Signals) -> bool:
        return bool(pids) and processes.strike(self._chance.choice(pids), number)

    def _idle_or_fresh(self) -> Sequence[int]:
        fresh = self._pids(FRESH)
        return fresh if fresh and self._chance.random() < 0.5 else self._world.tables.available_pids()

    def _pids(self, query: str) -> list[int]:
        return [row[0] for row in self._world.tables.rows(query)]

    def _kill_zygote(self) -> bool:
        pods = [pod for pod in self._world.fleet.running() if self._may_strike(pod) and pod.zygotes()]
        return bool(pods) and processes.strike(self._chance.choice(pods).zygotes()[-1], signal.SIGKILL)

    def _kill_supervisor(self) -> bool:
        """Its successor has its name or another one."""
        pod = self._victim()
        if pod:
            pod.kill()
            self._successors.append((time.monotonic() + AWAY_S, self._chance.choice([pod.name, ""])))
        return pod is not None

    def _pause_supervisor(self) -> bool:
        pod = self._victim()
        if pod:
            pod.signal(signal.SIGSTOP)
            self._paused.append((time.monotonic() + PAUSED_S, pod))
            self._successors.append((time.monotonic() + PAUSED_S, ""))
        return pod is not None

    def _victim(self) -> Pod | None:
        """One of the three, if the others have all recovered."""
        now = time.monotonic()
        if now < self._supervisor_due or self._paused or self._successors or self._world.tables.full_pods() < PODS - 1:
            return None
        if len(self._world.fleet.running()) < PODS:
            return None
        self._supervisor_due = now + BETWEEN_SUPERVISORS_S
        return self._chance.choice([pod for pod in self._world.fleet.running() if self._may_strike(pod)])

    def _may_strike(self, pod: Pod) -> bool:
        return not pod.paused and pod is not self._spared

    # --- recovery --------------------------------------------------------------------------------------------

    def _tend(self) -> None:
        now = time.monotonic()
        for due, pod in list(self._paused):
            if now >= due:
                self._paused.remove((due, pod))
                with contextlib.suppress(ProcessLookupError):
                    pod.signal(signal.SIGCONT)
        for due, name in list(self._successors):
            if now >= due:
                self._successors.remove((due, name))
                self._world.fleet.start(name)
        self._world.bury_strays()

    def _put_right(self) -> None:
        while self._paused or self._successors:
            self._world.pause(0.1)
            self._tend()
