"""Memory and CPU of processes, read from /proc in bounded time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pools.agent.memory import private_bytes
from pools.kernel.process_table import anonymous_bytes
from pools.metrics.processes import Group, PrivateMemory, ProcessTree

MEGABYTES = 40


@contextmanager
def process(megabytes: int) -> Iterator[int]:
    """One that has so much memory for itself and waits."""
    program = f"import sys; kept = bytearray({megabytes} << 20); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.communicate(b"")


def told(tree: ProcessTree) -> dict[str, float]:
    return {sample.name: sample.value for family in tree.collect() for sample in family.samples}


def test_a_group_is_its_processes_together():
    with process(MEGABYTES) as one, process(MEGABYTES) as other:
        found = told(ProcessTree(lambda: {"agents": Group({one, other})}))
        assert found["breeze_buddy_processes"] == 2
        assert found["breeze_buddy_process_memory_bytes"] >= 2 * MEGABYTES << 20
        assert found["breeze_buddy_process_cpu_seconds_total"] > 0


def test_what_processes_tell_of_themselves_is_believed_and_the_others_count_like_most():
    told_by = {1: 100, 2: 10, 3: 10}
    found = told(ProcessTree(lambda: {"agents": Group({1, 2, 3, 4, 5}, private_bytes=told_by)}))
    assert found["breeze_buddy_process_memory_bytes"] == 140


def test_one_that_keeps_its_memory_to_itself_counts_with_what_everybody_may_know():
    with process(MEGABYTES) as large:
        assert anonymous_bytes(large) >= MEGABYTES << 20
    assert anonymous_bytes(large) == 0


def test_what_could_not_be_read_in_time_counts_like_the_others_until_its_turn():
    with process(MEGABYTES) as large, process(1) as small:
        memory, pids = PrivateMemory(), [large, small]
        assert memory.total(pids, patience=0) >= 2 * MEGABYTES << 20  # twice the first
        exact = private_bytes(large) + private_bytes(small)
        assert abs(memory.total(pids, patience=0) - exact) < 1 << 20
        assert memory.total([small], patience=0) < 2 * MEGABYTES << 20  # one that is gone is forgotten


def test_cpu_never_goes_down_though_a_process_is_gone():
    pids = {os.getpid()}
    tree = ProcessTree(lambda: {"runpools": Group(pids)})
    before = told(tree)["breeze_buddy_process_cpu_seconds_total"]
    pids.clear()
    assert told(tree)["breeze_buddy_process_cpu_seconds_total"] == before
