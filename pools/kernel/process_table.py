"""What the kernel says about processes. Only our own user's are read, in our own namespace of pids.

Agents keep their memory and their environment private (`common.secrecy`), and their files in /proc belong to root: what
is read of them here is what every user may read.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pools.agent.config import OUTPUT_PROCESS, POD

GONE = (psutil.Error, OSError)  # or not ours to look at
AGENT_MODULES = ("pools.agent.zygote", "pools.agent.spawn")
PIDS = re.compile(r"^NSpid:((?:\s+\d+)+)$", re.MULTILINE)  # in each namespace from that of /proc down to its own


def anonymous_bytes(pid: int) -> int:
    """Its memory that is in no file, including what it shares with forks. 0: it is gone."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - memory.shared)


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
            pod = _pod_of_agent(process)
            if not pod or process.name() == OUTPUT_PROCESS or not _in_namespace_of_proc(pid, os.getpid()):
                return None
            return cls(pid, os.getsid(pid), pod)
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
    """Our children that live and are forks of that pod's agents, or programs with their environment."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) or child.name() == OUTPUT_PROCESS:
                continue  # the output process passes on what others write, and ends with the last of them
            # A program that a bot has executed does not keep its environment private.
            if (_pod_of_agent(child) or child.environ().get(POD)) == pod:
                yield child.pid


def pods_processes() -> Iterator[PodsProcess]:
    """Of our user's processes."""
    user = os.geteuid()
    for pid in psutil.pids():
        with suppress(psutil.Error):  # the owner of its files says nothing: root, if it keeps its memory private
            if psutil.Process(pid).uids().effective == user and (found := PodsProcess.at(pid)):
                yield found


def _pod_of_agent(process: psutil.Process) -> str:
    """From its command line, which every user may read; empty: it is neither a zygote nor an agent."""
    match process.cmdline():
        case [_, "-m", module, _, pod, *_] if module in AGENT_MODULES:
            return str(pod)
    return ""


def _in_namespace_of_proc(*pids: int) -> bool:
    """Whether they are in the namespace of pids that /proc shows, and in none below it."""
    found = (PIDS.search(Path(f"/proc/{pid}/status").read_text()) for pid in pids)
    return all(line and len(line[1].split()) == 1 for line in found)
