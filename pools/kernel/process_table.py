"""What the kernel says about processes (proc(5)). Only our own user's are looked at, in our own namespace of pids."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pools.agent.config import OUTPUT_PROCESS, POD

PRIVATE = re.compile(r"^Private_(?:Clean|Dirty|Hugetlb):\s+(\d+) kB", re.MULTILINE)
OUR_MODULE = re.compile(rb"[^\0]*\0-m\0pools\.agent\.(?:zygote|spawn)\0")
ITS_POD = re.compile(rb"(?:^|\0)" + POD.encode() + rb"=([0-9a-f-]{36})\0")
GONE = (OSError, ValueError)  # or not ours to look at


def private_bytes(pid: int) -> int:
    """How much memory it has for itself alone; what a fork shares with its siblings costs nothing. 0: it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except GONE:
        return 0
    return sum(int(kilobytes) for kilobytes in PRIVATE.findall(rollup)) * 1024


def is_starved(pid: int) -> bool:
    """It runs, or would if there were a core or a page for it: slow, but neither stopped nor waiting for anything."""
    return _state(pid) in ("R", "D")


def is_stopped(pid: int) -> bool:
    """By a signal, or by a debugger."""
    return _state(pid) in ("T", "t")


def _state(pid: int) -> str:
    """The kernel's letter for it; empty: it is gone."""
    try:
        return _stat(pid)[0]
    except GONE:
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
        """None: another program, or gone."""
        try:
            place = Path(f"/proc/{pid}")
            if not OUR_MODULE.match((place / "cmdline").read_bytes()) or _is_output(place):
                return None
            if os.readlink(place / "ns" / "pid") != os.readlink("/proc/self/ns/pid"):
                return None
            pod = ITS_POD.search((place / "environ").read_bytes())
            return cls(pid, int(_stat(pid)[3]), pod[1].decode()) if pod else None
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
    for pid in _own_pids():
        with suppress(*GONE):
            state, parent, *_ = _stat(pid)
            if int(parent) != os.getpid() or state in "ZX" or _is_output(Path(f"/proc/{pid}")):
                continue
            found = ITS_POD.search(Path(f"/proc/{pid}/environ").read_bytes())
            if found and found[1].decode() == pod:
                yield pid


def pods_processes() -> Iterator[PodsProcess]:
    for pid in _own_pids():
        if found := PodsProcess.at(pid):
            yield found


def _own_pids() -> Iterator[int]:
    """Of our user's processes."""
    user = os.geteuid()
    with os.scandir("/proc") as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.isdecimal() and entry.stat().st_uid == user:
                    yield int(entry.name)


def _is_output(place: Path) -> bool:
    """It passes on what others write, and ends with the last of them."""
    return (place / "comm").read_text().strip() == OUTPUT_PROCESS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
