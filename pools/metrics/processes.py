"""Metrics of memory and CPU of the processes of a service, read at each scrape."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median_low

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pools.agent.memory import private_bytes
from pools.kernel.process_table import anonymous_bytes

READING_S = 0.04


@dataclass(frozen=True)
class Group:
    """Processes that are reported together.

    `parents`: processes whose dead children count as well; `private_bytes`: by pid, if only the processes themselves
    can measure it.
    """

    pids: Collection[int]
    parents: Collection[int] = field(default=())
    private_bytes: Mapping[int, int] | None = None


def cpu_seconds(pid: int) -> float:
    """Its own; 0 for a process that is gone."""
    return sum(_cpu_times(pid)[:2])


def cpu_seconds_of_dead_children(pid: int) -> float:
    """Of those that it has waited for."""
    return sum(_cpu_times(pid)[2:4])


def _cpu_times(pid: int) -> tuple[float, ...]:
    """User, system; the same of its dead children."""
    try:
        return tuple(psutil.Process(pid).cpu_times())
    except psutil.Error:
        return (0.0,) * 4


def children_of(pid: int) -> set[int]:
    """Direct children, started by any of its threads."""
    try:
        return {child.pid for child in psutil.Process(pid).children()}
    except psutil.Error:
        return set()


class PrivateMemory:
    """Of the processes of a group. Of one that keeps its memory private, what it shares with forks is included.

    The kernel walks page tables for it, some ten milliseconds for a process with models loaded; therefore a scrape only
    reads for a bounded time, first those that are new, then those not read for longest.
    """

    def __init__(self) -> None:
        self._known: dict[int, int] = {}  # bytes by pid, in the order in which they were read

    def total(self, pids: Collection[int], patience: float = READING_S) -> int:
        """Private bytes of these processes. Those that have not been read yet count as the average of the others."""
        self._known = {pid: known for pid, known in self._known.items() if pid in pids}
        until = time.monotonic() + patience
        for pid in [*(pid for pid in pids if pid not in self._known), *self._known]:
            self._known.pop(pid, None)
            self._known[pid] = private_bytes(pid) or anonymous_bytes(pid)
            if time.monotonic() > until:
                break
        read = sum(self._known.values())
        return read * len(pids) // max(1, len(self._known))


def _reported(pids: Collection[int], private_bytes: Mapping[int, int]) -> int:
    """In all; those that have not reported yet count like the median of the others."""
    known = [private_bytes[pid] for pid in pids if pid in private_bytes]
    return sum(known) + (len(pids) - len(known)) * median_low(known or [0])


class ProcessTree(Collector):
    """Collects the metrics. `groups` returns the current processes; it is called in the thread of the scrape."""

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
        if group.private_bytes is not None:
            return _reported(group.pids, group.private_bytes)
        with self._lock:
            return self._memory.setdefault(name, PrivateMemory()).total(group.pids)

    def _cpu_of(self, name: str, group: Group) -> float:
        """CPU seconds of the group. Never less than before: a dead process may not have been waited for yet."""
        seconds = sum(cpu_seconds(pid) for pid in group.pids)
        seconds += sum(cpu_seconds_of_dead_children(pid) for pid in group.parents)
        with self._lock:
            self._cpu[name] = max(seconds, self._cpu.get(name, 0.0))
            return self._cpu[name]
