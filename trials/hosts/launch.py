"""`python -m trials.hosts.launch HOST PROGRAM ARGUMENTS`: run a program on a host, as its first process.

It sees the host's network, its own process numbers and the host's name. Signals to us are passed on; if we are killed,
so is everything that it has started, as by the end of a container.
"""

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

from devtools.parent_death import send_us_at_parents_death
from trials.hosts.network import CLONE_NEWNET, LIBC, namespace

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID = 0x00020000, 0x04000000, 0x20000000
MS_PRIVATE_AND_BELOW = 0x00040000 | 0x4000
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    host, *command = sys.argv[1:]
    send_us_at_parents_death(signal.SIGINT)
    with open(Path("/run/netns", namespace(host))) as network:
        _must(LIBC.setns(network.fileno(), CLONE_NEWNET))
    _must(LIBC.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID))
    socket.sethostname(host)
    # Blocked until the handlers are there: one that comes early must not end only us.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child == 0:
        _become(command)
    for number in PASSED_ON:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(command: list[str]) -> None:
    send_us_at_parents_death(signal.SIGKILL)
    _must(LIBC.mount(b"none", b"/", None, MS_PRIVATE_AND_BELOW, None))
    _must(LIBC.mount(b"proc", b"/proc", b"proc", 0, None))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    os.execvp(command[0], command)  # noqa: S606 (arguments of our own)


def _must(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


if __name__ == "__main__":
    sys.exit(main())
