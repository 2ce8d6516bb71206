"""`python -m trials.scale.pods FIRST NUMBER`: so many supervisors in threads of one process, until SIGTERM.

Commands come line by line on standard input, answers go to standard output:

    woken SINCE     JSON: by pod, when it first looked at the rows after SINCE (seconds of CLOCK_MONOTONIC)
"""

import json
import os
import signal
import sys
import threading
import time
from math import inf
from typing import Any

import django

STEP_S = 1.0  # as long as a turn waits at most: how soon a supervisor hears that it is to end


class Witness:
    """A background task that records when its supervisor read the rows because of a NOTIFY."""

    due = inf

    def __init__(self) -> None:
        self.looks: list[float] = []
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._eventfd

    def receive(self, now: float) -> None: ...

    def record(self, now: float) -> bool:
        return False

    def step(self, turn: Any) -> None:
        if turn.woken:
            self.looks.append(time.monotonic())
            del self.looks[:-1000]

    def close(self) -> None: ...


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "breezebuddy.settings")
    django.setup()
    first, number = int(sys.argv[1]), int(sys.argv[2])
    run([f"scale-{at:03}" for at in range(first, first + number)])


def run(names: list[str]) -> None:
    from django.conf import settings

    from breezebuddy.health import readiness
    from breezebuddy.management.commands import runpools
    from common.postgresql.connection import ImpatientConnection
    from pools.daily.account import daily_client
    from pools.supervisor.loop import Supervisor
    from pools.supervisor.probes import PodGauges, Probes
    from trials.scale.stubs import StubAgents, StubZygote

    ImpatientConnection.answer_timeout = runpools.DATABASE_ANSWER_S
    runpools.raise_descriptor_limit()
    agents = StubAgents(float(os.environ["SCALE_CALL_S"]))
    witnesses = {name: Witness() for name in names}
    ending = threading.Event()
    supervisors: list[Supervisor] = []

    def serve(name: str) -> None:
        config = runpools.supervisor_config({"pod_name": name, "processes": None, "rooms": None, "once": False})
        gauges = PodGauges()
        supervisor = Supervisor(
            config,
            daily_client(),
            Probes("127.0.0.1", 0, gauges.exposition, settings.METRICS_TOKEN),
            readiness,
            gauges,
            [*runpools.background_tasks_of(config, dialling=settings.DIALLING), witnesses[name]],
        )
        supervisor.start()
        keeper: Any = StubZygote(agents)
        supervisor.agents.zygote = keeper
        supervisors.append(supervisor)
        while not (ending.is_set() or supervisor.finished):
            supervisor.run_once(min(STEP_S, config.poll_interval))

    threads = [threading.Thread(target=serve, args=(name,), name=name) for name in names]
    for number in (signal.SIGTERM, signal.SIGINT):  # the second one: whoever started us is gone
        signal.signal(number, lambda number, frame: ending.set())
    for thread in threads:
        thread.start()
    threading.Thread(target=_answer_commands, args=(witnesses,), daemon=True).start()
    for thread in threads:
        thread.join()
    for supervisor in supervisors:
        supervisor.close()


def _answer_commands(witnesses: dict[str, Witness]) -> None:
    for line in sys.stdin:
        command, _, argument = line.partition(" ")
        if command == "woken":
            since = float(argument)
            woken = {name: next((at for at in w.looks if at > since), None) for name, w in witnesses.items()}
            print(json.dumps(woken), flush=True)  # noqa: T201 (the answer)


if __name__ == "__main__":
    main()
