"""Runs the pods, in processes with several supervisors each, and clients that claim."""

import json
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import IO, Any

from trials.scale.claimers import EMPTY
from trials.world import ROOT, DidNotHappen, World

A_PROCESS = 25  # supervisors
PROGRAMS = 4  # of clients, at most: one alone has one core at most


@dataclass(frozen=True)
class Claims:
    """The claims of one run: clients, milliseconds of each claim, and the seconds of all together."""

    clients: int
    milliseconds: list[float]
    seconds: float
    kinds: dict[str, int]

    @property
    def a_second(self) -> float:
        return len(self.milliseconds) / self.seconds


class Fleet:
    """`names` of the pods that should be alive."""

    def __init__(self, world: World, environment: dict[str, str]) -> None:
        self._world = world
        self._directory = world.directory
        self._environment = environment
        self._programs: list[tuple[subprocess.Popen[str], list[int]]] = []
        self._next = 0

    @property
    def size(self) -> int:
        return sum(len(pods) for _, pods in self._programs)

    @property
    def pids(self) -> list[int]:
        return [program.pid for program, _ in self._programs]

    def grow(self, number: int) -> None:
        """Start more pods."""
        while number > 0:
            some = min(number, A_PROCESS)
            arguments = ["trials.scale.pods", str(self._next), str(some)]
            with open(self._directory / f"pods-{self._next}.log", "w") as log:
                program = self._start(arguments, log)
            self._programs.append((program, list(range(self._next, self._next + some))))
            self._next += some
            number -= some

    def kill_half(self) -> int:
        """Kill every second process with SIGKILL. Returns how many pods that were."""
        victims = self._programs[1::2]
        for program, _ in victims:
            program.kill()
        for program, _ in victims:
            program.wait()
            _close(program)
        self._programs = self._programs[::2]
        return sum(len(pods) for _, pods in victims)

    def stop_the_clock(self) -> None:
        """The pods stand still: no CPU for them while only the database is looked at. For less than their lease."""
        for program, _ in self._programs:
            program.send_signal(signal.SIGSTOP)

    def let_go_on(self) -> None:
        for program, _ in self._programs:
            program.send_signal(signal.SIGCONT)

    def woken(self, since: float) -> dict[str, float]:
        """Return by pod the seconds from `since` until it read the rows, for pods that did."""
        result: dict[str, float] = {}
        for program, _ in self._programs:
            answer = _ask(program, f"woken {since}")
            result |= {name: at - since for name, at in json.loads(answer).items() if at is not None}
        return result

    def claim(self, clients: int, total: int, *, standing_still: bool = False, silently: bool = False) -> Claims:
        """So many claims in all, by so many clients at once. `standing_still`: while the pods do nothing; `silently`:
        nobody is told."""
        programs = min(clients, PROGRAMS)
        shares = [clients // programs + (number < clients % programs) for number in range(programs)]
        each = max(1, total // clients)
        words = ["silently"] if silently else []
        running = [self._start(["trials.scale.claimers", str(share), str(each), *words], None) for share in shares]
        try:
            for program in running:
                _expect(program, "ready")
            if standing_still:
                self.stop_the_clock()
            try:
                for program in running:
                    _say(program, "go")
                results = [json.loads(_line(program)) for program in running]
            finally:
                if standing_still:
                    self.let_go_on()
        finally:
            for program in running:
                program.kill()
                program.wait()
                _close(program)
        return _claims(clients, results)

    def end(self) -> None:
        self.let_go_on()
        for program, _ in self._programs:
            program.terminate()
        for program, _ in self._programs:
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            _close(program)
        self._programs = []

    def _start(self, arguments: list[str], log: IO[str] | None) -> subprocess.Popen[str]:
        """Start a program. Only from the main thread: the kernel ends it with that thread."""
        return subprocess.Popen(
            [sys.executable, "-m", "trials.tethered", sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=self._environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )


def _claims(clients: int, results: list[dict[str, Any]]) -> Claims:
    kinds: Counter[str] = Counter()
    milliseconds: list[float] = []
    for result in results:
        for kind, taken in result["claims"].items():
            kinds[kind] += len(taken)
            milliseconds += taken if kind != EMPTY else []
    seconds = max(result["ended"] for result in results) - min(result["began"] for result in results)
    return Claims(clients, milliseconds, seconds, dict(kinds))


def _say(program: subprocess.Popen[str], text: str) -> None:
    if program.stdin:
        program.stdin.write(f"{text}\n")
        program.stdin.flush()


def _line(program: subprocess.Popen[str]) -> str:
    line = program.stdout.readline() if program.stdout else ""
    if not line:
        raise DidNotHappen(f"{' '.join(map(str, program.args[-3:]))} ended: {program.wait()}")  # type: ignore[index]
    return line


def _ask(program: subprocess.Popen[str], text: str) -> str:
    _say(program, text)
    return _line(program)


def _expect(program: subprocess.Popen[str], text: str) -> None:
    if (line := _line(program).strip()) != text:
        raise DidNotHappen(f"a client said {line[:200]!r}")


def _close(program: subprocess.Popen[str]) -> None:
    for stream in (program.stdin, program.stdout):
        if stream:
            stream.close()
