"""Does what a Deployment's controller does: keeps replicas, rolls out with maxSurge 1 and maxUnavailable 0."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from trials.chaos.fleet_world import FleetWorld
from trials.ports import free_port
from trials.shipping.kubelet import Replica, Workload

PATIENCE_S = 120.0


class Deployment:
    """`replicas`: running ones; `former`: those that are stopped or being stopped."""

    def __init__(self, workload: Workload, world: FleetWorld, directory: Path, say: Callable[[str], None]) -> None:
        self._workload = workload
        self._world = world
        self._directory = directory
        self._say = say
        self._number = 0
        self.replicas: list[Replica] = []
        self.former: list[Replica] = []
        self._stops: list[threading.Thread] = []

    def scale(self, number: int) -> None:
        """Add replicas up to this number, and wait until all are ready."""
        while len(self.replicas) < number:
            self._start()
        self._world.wait_for(f"{self._workload.name} ready", lambda: all(r.ready for r in self.replicas), PATIENCE_S)

    def roll_out(self) -> None:
        """Replace each replica: stop an old one after a new one has been ready for minReadySeconds."""
        for old in list(self.replicas):
            began = time.monotonic()
            new = self._start()
            self._world.wait_for(f"{new.name} ready", lambda new=new: new.ready, PATIENCE_S)  # type: ignore[misc]
            self._world.pause(self._workload.min_ready)
            self._say(f"{new.name} ready after {time.monotonic() - began:.1f} s; {old.name} is told to stop")
            self.replicas.remove(old)
            self.former.append(old)
            stop = threading.Thread(target=old.stop, daemon=True)
            stop.start()
            self._stops.append(stop)

    def wait_for_stops(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        for stop in self._stops:
            stop.join(max(0.1, deadline - time.monotonic()))

    def problems(self) -> list[str]:
        everybody = [*self.replicas, *self.former]
        problems = [replica.dead_by_probe for replica in everybody if replica.dead_by_probe]
        problems += [f"{replica.name} was killed at the end of its grace" for replica in everybody if replica.killed]
        return problems + [
            f"{replica.name} ended with {replica.process.returncode}"
            for replica in self.former
            if replica.process.returncode != 0
        ]

    def end(self) -> None:
        for replica in [*self.replicas, *self.former]:
            if replica.runs:
                replica.process.terminate()
        for replica in [*self.replicas, *self.former]:
            try:
                replica.process.wait(20)
            except subprocess.TimeoutExpired:
                replica.process.kill()

    def _start(self) -> Replica:
        self._number += 1
        replica = Replica(self._workload, f"{self._workload.name}-{self._number}", free_port(), self._directory)
        self.replicas.append(replica)
        return replica
