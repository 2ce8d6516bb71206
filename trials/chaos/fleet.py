"""The pods of a run: real `runpools` processes that are started, killed, paused, replaced."""

import itertools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trials.world import ROOT

ZYGOTE = re.compile(rb"event=zygote_ready pid=(\d+)")
TETHERED = ("trials.tethered",)
_names = itertools.count(1)


class Pod:
    """One `runpools` with its own log. `through`: a program that starts it, and ends it when we die."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path, through: Sequence[str] = TETHERED) -> None:
        self.name = name
        self.log = log
        self.paused = False
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *through, sys.executable, str(ROOT / "manage.py"), "runpools"],
                cwd=ROOT,
                env={**environment, "POD_NAME": name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.paused = number is signal.SIGSTOP
        self.process.send_signal(number)  # nothing, if it has ended and been reaped

    def kill(self) -> None:
        """Kill with SIGKILL and wait for the end."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.output()

    def zygotes(self) -> list[int]:
        """Return the pids of all zygotes that became ready, the present one last."""
        return [int(pid) for pid in ZYGOTE.findall(self.log.read_bytes())]


class Fleet:
    """All pods of a world, including ended ones, whose logs are evidence."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = dict(environment)
        self._directory = directory
        self.pods: list[Pod] = []

    def start(self, name: str = "", **variables: str) -> Pod:
        """Start a pod. Only from the main thread: the kernel ends a pod with the thread that started it."""
        number = next(_names)
        pod = self._start(name or f"pod-{number}", self._environment | variables, f"runpools-{number}.log")
        self.pods.append(pod)
        return pod

    def _start(self, name: str, environment: dict[str, str], log: str) -> Pod:
        return Pod(name, environment, self._directory / log)

    def running(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.runs]

    def end(self, number: signal.Signals = signal.SIGTERM, patience: float = 15.0) -> None:
        """Signal all pods at once, and kill them after `patience` seconds."""
        pods = self.running()
        for pod in pods:
            pod.signal(signal.SIGCONT)
            pod.signal(number)
        deadline = time.monotonic() + patience
        for pod in pods:
            try:
                pod.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pod.kill()

    def said(self, pattern: str) -> list[tuple[str, ...]]:
        """Return the groups of every match in all logs."""
        return [match.groups() for pod in self.pods for match in re.finditer(pattern, pod.output())]
