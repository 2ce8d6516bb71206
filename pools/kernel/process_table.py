"""What the kernel says about processes. Only our own user's are read, in our own namespace of pids."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

from pools.agent.config import OUTPUT_PROCESS, POD

GONE = (psutil.Error, OSError)  # or not ours to look at
AGENT_MODULES = ("pools.agent.zygote", "pools.agent.spawn")


def private_bytes(pid: int) -> int:
    """How much memory it has for itself alone; what a fork shares with its siblings costs nothing. 0: it is gone."""
    try:
        uss: int = psutil.Process(pid).memory_full_info().uss
    except psutil.Error:
        return 0
    return uss


def is_starved(pid: int) -> bool:
    """It runs, or would if there were a core or a page for it: slow, but neither stopped nor waiting for anything."""
    return _status(pid) in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)


def is_stopped(pid: int) -> bool:
    """By a signal, or by a debugger."""
    return _status(pid) in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


def _status(pid: int) -> str:
    """Empty: it is gone."""
    try:
        return psutil.Process(pid).status()
    except psutil.Error:
        return ""


@dataclass(frozen=True)
class PodsProcess:
    """A zygote or an agent, of whichever pod. `session` (setsid(2)) is an agent's own pid, and in what it has forked
    its agent's."""

    pid: int
    session: int
    pod: str  # the uuid of its pod

    @classmethod
    def at(cls, pid: int) -> "PodsProcess | None":
        """None: another program, another user's, or gone."""
        try:
            process = psutil.Process(pid)
            command = process.cmdline()
            if command[1:2] != ["-m"] or command[2] not in AGENT_MODULES or process.name() == OUTPUT_PROCESS:
                return None
            if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                return None
            pod = process.environ().get(POD)
            return cls(pid, os.getsid(pid), pod) if pod else None
        except GONE:
            return None

    def kill(self) -> bool:
        """This one, never another that has its pid by now. False: it is gone."""
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            try:
                if PodsProcess.at(self.pid) == self:  # then the descriptor means it, or it is gone
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    return True
            finally:
                os.close(pidfd)
        return False


def children_of_pod(pod: str) -> Iterator[int]:
    """Our children that live and have the environment of that pod's agents, whatever program they run."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) or child.name() == OUTPUT_PROCESS:
                continue  # the output process passes on what others write, and ends with the last of them
            if child.environ().get(POD) == pod:
                yield child.pid


def pods_processes() -> Iterator[PodsProcess]:
    """Of our user's processes."""
    user = os.geteuid()
    for pid in psutil.pids():
        with suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == user and (found := PodsProcess.at(pid)):
                yield found
