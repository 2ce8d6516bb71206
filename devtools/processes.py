"""Runs several programs under one foreground process, and ends all of them with it.

Every program leads a session of its own, so that Ctrl-C reaches only us and we choose the order of the end. If we are
killed, the kernel interrupts our programs; what their death leaves behind comes to us and ends with us.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, Self

from devtools.parent_death import send_us_at_parents_death

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None)


class StopRequested(Exception):
    """Somebody pressed Ctrl-C or sent SIGTERM, or the terminal is closed."""


class ProgramEnded(Exception):
    """A program ended that should still run."""

    def __init__(self, name: str, status: int | None, log: Path) -> None:
        super().__init__(name, status, log)
        self.name, self.status, self.log = name, status, log

    def __str__(self) -> str:
        if self.status is None:
            return f"{self.name} has ended"
        if self.status < 0:
            return f"{self.name} was killed by {signal.Signals(-self.status).name}"
        return f"{self.name} ended with exit status {self.status}"


@dataclass
class Program:
    """A running program. `process` is None for a program that another process started and we only watch."""

    name: str
    log: Path
    pidfd: int
    process: "subprocess.Popen[bytes] | None" = None
    stop_signal: signal.Signals = signal.SIGTERM
    patience: float = 10.0

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the whole session. Only before the program is reaped: later its number may be another's."""
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class Foreground:
    """The programs of one foreground command, in the order of their start."""

    def __init__(self, logs: Path, directory: Path, keep_open: Sequence[int] = ()) -> None:
        """`keep_open` are file descriptors that the programs inherit."""
        self.logs = logs
        self.directory = directory
        self.keep_open = keep_open
        self.programs: list[Program] = []
        self._signals = 0
        self._wakeup, self._wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: dict[int, Any] = {}
        self._strangers: set[int] = set()

    def __enter__(self) -> Self:
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._strangers = children()
        for number in STOP_SIGNALS:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                self._before[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        while adopted := children() - self._strangers:  # from a program that was killed
            for pid in adopted:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        patience: float = 10.0,
    ) -> Program:
        """Start a program whose output goes to NAME.log (the last run's is in NAME.log.1).

        `stop()` ends it with `stop_signal`, and kills it `patience` seconds later.
        """
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with open(log, "wb") as output:
            process = self._popen(arguments, environment, output)
        program = Program(name, log, os.pidfd_open(process.pid), process, stop_signal, patience)
        self.programs.append(program)
        return program

    def watch(self, name: str, pid: int, log: Path) -> None:
        """Watch a process that another process started, and treat its end like that of our programs."""
        self.programs.append(Program(name, log, os.pidfd_open(pid)))
        self._strangers.add(pid)

    def wait(self, seconds: float) -> None:
        """Wait. Raises ProgramEnded as soon as a program ends, and StopRequested as soon as a stop signal arrives."""
        watched = {program.pidfd: program for program in self.programs}
        ready, _, _ = select.select([self._wakeup, *watched], [], [], seconds)
        self._drain_wakeups()
        if self._signals:
            raise StopRequested
        for pidfd in ready:
            if program := watched.get(pidfd):
                program.signal_all(signal.SIGKILL)  # its children, before its number is free again
                status = program.process.wait() if program.process else None
                raise ProgramEnded(program.name, status, program.log)

    def stop(self) -> None:
        """End all programs, the last started first. A signal during this kills the rest at once."""
        self._signals = 0
        while self.programs:
            self._end(self.programs.pop())

    def _end(self, program: Program) -> None:
        """End a program and all processes of its session. The program may have ended already."""
        if program.process and program.process.returncode is None:
            if not self._signals:
                signal.pidfd_send_signal(program.pidfd, program.stop_signal)  # reaps nothing, unlike send_signal()
                self._await(program)
            program.signal_all(signal.SIGKILL)
            program.process.wait()
        os.close(program.pidfd)

    def _await(self, program: Program) -> None:
        """Wait until the program has ended, its patience is over, or a signal arrives."""
        deadline = time.monotonic() + program.patience
        while not self._signals and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._wakeup, program.pidfd], [], [], left)
            self._drain_wakeups()
            if program.pidfd in ready:
                return

    def _popen(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes]
    ) -> "subprocess.Popen[bytes]":
        parent = os.getpid()

        def die_with_us() -> None:
            send_us_at_parents_death(signal.SIGINT)
            if os.getppid() != parent:
                os._exit(1)  # we died before the kernel knew

        return subprocess.Popen(
            arguments,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=self.keep_open,
            preexec_fn=die_with_us,  # safe: we have one thread
        )

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _drain_wakeups(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the usual case: nothing there
            os.read(self._wakeup, 4096)


def children() -> set[int]:
    """Return the pids of our children, including zombies and adopted processes."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
