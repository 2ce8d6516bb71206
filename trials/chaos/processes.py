"""The process table: agents, zygotes and their memory. Reads and signals only descendants of the run."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from devtools.processes import children
from pools.agent.config import OUTPUT_PROCESS
from pools.agent.memory import private_bytes
from pools.kernel.process_table import AGENT_MODULES


def descendants(pid: int) -> set[int]:
    try:
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        return set()


def descendants_of_the_run() -> set[int]:
    return descendants(os.getpid())


def said_by_the_kernel(pid: int, name: str) -> str:
    """Return a file below /proc/PID, with spaces for NULs; empty if the process is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def is_agent(pid: int) -> bool:
    """An agent process or a zygote that runs (zombies have no command line), not the process that redacts a zygote's
    output, which ends after it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.name() != OUTPUT_PROCESS and any(module in process.cmdline() for module in AGENT_MODULES)
    return False


def agents(zygotes: set[int]) -> set[int]:
    """Return all agent processes of this run, idle or in a call, supervised or not."""
    return {pid for pid in descendants_of_the_run() - zygotes if is_agent(pid)}


def strike(pid: int, number: signal.Signals) -> bool:
    """Signal an agent or a zygote. Returns False if no such process exists any more."""
    if pid not in descendants_of_the_run() or not is_agent(pid):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def bury_strays(ours: set[int]) -> None:
    """As subreaper we inherit what killed supervisors leave; `ours` are waited for by those who started them."""
    for pid in children() - ours:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@dataclass(frozen=True)
class Weight:
    """`private_kb`: memory that no other process shares."""

    private_kb: int
    descriptors: int


def weight(pid: int) -> Weight | None:
    """None: it is gone. Raises AccessDenied: only root may weigh our processes."""
    try:
        return Weight(private_bytes(pid) // 1024, psutil.Process(pid).num_fds())
    except psutil.NoSuchProcess:
        return None
