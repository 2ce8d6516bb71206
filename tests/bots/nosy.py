"""Tries to read the memory and the environment of other processes, and reports what it has got from each."""

import ctypes
import os

from pools.agent import report

PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
LIBC = ctypes.CDLL(None, use_errno=True)


async def bot(runner_args):
    report(outcome="looked", **{str(pid): sorted(got_from(pid)) for pid in runner_args.body["pids"]})


def got_from(pid):
    for name in ("environ", "mem", "maps", "auxv", "cmdline"):
        try:
            with open(f"/proc/{pid}/{name}", "rb", buffering=0):
                yield name
        except OSError:
            continue
    if LIBC.ptrace(PTRACE_SEIZE, pid, None, None) == 0:
        LIBC.ptrace(PTRACE_DETACH, pid, None, None)
        yield "ptrace"
    if reads_memory(pid):
        yield "process_vm_readv"
    for name in ("fd/0", "ns/pid"):
        try:
            os.readlink(f"/proc/{pid}/{name}")
            yield name
        except OSError:
            continue


class Part(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


def reads_memory(pid):
    """From where there is something: a sibling is a fork of the same process, with the same addresses."""
    here, there = ctypes.create_string_buffer(8), id(None)
    ours, theirs = Part(ctypes.addressof(here), 8), Part(there, 8)
    return LIBC.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) == 8
