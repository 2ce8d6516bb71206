"""Faults at random moments under load: processes, zygotes and supervisors killed and paused, in a random order.

A fault is a small function; the storm draws them until each has happened as often as was asked, or the time is over.
"""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from trials.chaos import processes
from trials.chaos.fleet import Pod
from trials.chaos.fleet_world import FleetWorld

# Beyond the lease for reaping. On occupied cores the others judge later, and one that goes on before that lives on.
PAUSED_S = {False: 12.0, True: 30.0}
AWAY_S = 3.0  # before a killed supervisor has a successor
BETWEEN_SUPERVISORS_S = 2.0
PATIENCE = 1.5  # what was not struck in its time (nobody was in a call, all pods were recovering) is made up for
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
    """`done` counts the faults that have struck, by the row of the table; `supervisors`: row, name, pid and moment of
    each one that was killed or paused."""

    def __init__(
        self, world: FleetWorld, seed: int, pods: int, spared: Pod | None = None, *, busy: bool = False
    ) -> None:
        """`pods` are running; of five two may be away at once, of three one. `spared`: neither it nor its zygote is
        struck (its agents are). `busy`: the cores are occupied, and pods that live are well enough: they are seldom
        full."""
        self._world = world
        self._pause_s = PAUSED_S[busy]
        self._well = world.tables.live_pods if busy else world.tables.full_pods
        self._pods = pods
        self._spared = spared
        self.supervisors: list[tuple[int, str, int, float]] = []
        self._chance = random.Random(seed)  # noqa: S311
        self.done: Counter[int] = Counter()
        self._paused: list[tuple[float, Pod]] = []
        self._successors: list[tuple[float, str]] = []
        self._supervisor_due = 0.0

    def run(
        self, wanted: dict[int, int], seconds: float, aside: Callable[[], None] = nothing, whole_time: bool = False
    ) -> None:
        """Each row of `wanted` so often, evenly over `seconds`; a while longer if something is still missing (or just
        so long: `whole_time`). Then everybody is put right again. `aside` is called at every turn."""
        faults: dict[int, Callable[[], bool]] = {
            1: lambda: self._strike(self._idle_or_fresh(), signal.SIGKILL),
            2: lambda: self._strike(self._idle_or_fresh(), signal.SIGSTOP),
            3: lambda: self._strike(self._pids(IN_CALL), signal.SIGKILL),
            4: self._kill_zygote,
            5: self._kill_supervisor,
            12: self._pause_supervisor,
        }
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds * (1.0 if whole_time else PATIENCE):
            aside()
            self._tend()
            if not whole_time and all(self.done[row] >= number for row, number in wanted.items()):
                break
            share = min(1.0, passed / (seconds * 0.9))
            behind = [row for row, number in wanted.items() if self.done[row] < number * share]
            self._chance.shuffle(behind)
            for row in behind:
                self.done[row] += faults[row]()
            self._world.pause(self._chance.uniform(0.0, 0.1))
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
        """Kill a supervisor, and plan a successor with the same name or another one."""
        pod = self._victim(5)
        if pod:
            pod.kill()
            self._successors.append((time.monotonic() + AWAY_S, self._chance.choice([pod.name, ""])))
        return pod is not None

    def _pause_supervisor(self) -> bool:
        pod = self._victim(12)
        if pod:
            pod.signal(signal.SIGSTOP)
            self._paused.append((time.monotonic() + self._pause_s, pod))
            self._successors.append((time.monotonic() + self._pause_s, ""))
        return pod is not None

    def _victim(self, row: int) -> Pod | None:
        """Return a healthy pod, if enough others are healthy."""
        now = time.monotonic()
        may_be_away = (self._pods - 1) // 2
        if now < self._supervisor_due or len(self._successors) >= may_be_away:
            return None
        well = [pod for pod in self._world.fleet.running() if self._may_strike(pod)]
        if not well or self._well() < self._pods - may_be_away:
            return None
        self._supervisor_due = now + BETWEEN_SUPERVISORS_S
        victim = self._chance.choice(well)
        self.supervisors.append((row, victim.name, victim.pid, time.time()))
        return victim

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
