"""Memory and CPU of the processes of a service, read from /proc at each scrape (proc(5))."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pools.kernel.process_table import private_bytes

TICKS = os.sysconf("SC_CLK_TCK")
READING_S = 0.04


@dataclass(frozen=True)
class Group:
    """Processes that are reported as one. `parents`: those that wait for the dead of the group, whose CPU they know."""

    pids: Collection[int]
    parents: Collection[int] = field(default=())


@dataclass(frozen=True)
class CpuTimes:
    own: float
    of_dead_children: float

    @classmethod
    def read(cls, pid: int) -> "CpuTimes":
        """Seconds; 0 for a process that is gone."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return cls(0.0, 0.0)
        user, system, children_user, children_system = (int(ticks) for ticks in fields[11:15])
        return cls((user + system) / TICKS, (children_user + children_system) / TICKS)


def children_of(pid: int) -> set[int]:
    """Direct ones, whichever of its threads has started them."""
    found: set[int] = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.update(int(child) for child in listed.read_text().split())
    return found


class PrivateMemory:
    """Of the processes of a group. To read it the kernel walks page tables, some ten milliseconds for a process with
    models loaded; therefore a scrape reads for so long only, first those that are new, then those not read for longest.
    """

    def __init__(self) -> None:
        self._known: dict[int, int] = {}  # bytes by pid, in the order in which they were read

    def total(self, pids: Collection[int], patience: float = READING_S) -> int:
        """Those that have not been read yet count like the average of the others."""
        self._known = {pid: known for pid, known in self._known.items() if pid in pids}
        until = time.monotonic() + patience
        for pid in [*(pid for pid in pids if pid not in self._known), *self._known]:
            self._known.pop(pid, None)
            self._known[pid] = private_bytes(pid)
            if time.monotonic() > until:
                break
        read = sum(self._known.values())
        return read * len(pids) // max(1, len(self._known))


class ProcessTree(Collector):
    """`groups` names the processes there are at the moment; it is called in the thread that answers the scrape."""

    def __init__(self, groups: Callable[[], Mapping[str, Group]]) -> None:
        self._groups = groups
        self._cpu: dict[str, float] = {}
        self._memory: dict[str, PrivateMemory] = {}
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        number = GaugeMetricFamily("breeze_buddy_processes", "Processes of this service.", labels=["process"])
        memory = GaugeMetricFamily(
            "breeze_buddy_process_memory_bytes", "Memory that they have for themselves alone.", labels=["process"]
        )
        cpu = CounterMetricFamily(
            "breeze_buddy_process_cpu_seconds",
            "CPU that they have used, those that are gone included.",
            labels=["process"],
        )
        for name, group in self._groups().items():
            number.add_metric([name], len(group.pids))
            memory.add_metric([name], self._memory_of(name, group))
            cpu.add_metric([name], self._cpu_of(name, group))
        yield from (number, memory, cpu)

    def _memory_of(self, name: str, group: Group) -> int:
        with self._lock:
            return self._memory.setdefault(name, PrivateMemory()).total(group.pids)

    def _cpu_of(self, name: str, group: Group) -> float:
        """Never less than before: one that has just died may not have been waited for yet."""
        seconds = sum(CpuTimes.read(pid).own for pid in group.pids)
        seconds += sum(CpuTimes.read(pid).of_dead_children for pid in group.parents)
        with self._lock:
            self._cpu[name] = max(seconds, self._cpu.get(name, 0.0))
            return self._cpu[name]
