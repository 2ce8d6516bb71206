"""Whether a warm process may be forked: what its bot's import has left in it that children must not share.

A fork copies only the thread that calls it, so that another one's locks would stay locked in the child for ever. A
connection would be shared by all children: what one of them asks, another is answered.
"""

import os
import socket
import threading
from contextlib import suppress


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def thread_problem() -> str:
    """Empty: this is the only thread."""
    number = thread_count()
    if number == 1:
        return ""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    names = [thread.name for thread in others]
    if native := number - 1 - len(others):
        names.append(f"{native} of native code")
    return f"it has {number} threads after its import, besides the main one: {', '.join(names)}"


def connections() -> dict[str, str]:
    """Open connections of this process: the peer by the kernel's number of the socket."""
    found = {}
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{descriptor}")
            if link.startswith("socket:") and (peer := _peer(descriptor)):
                found[link] = peer
    return found


def connection_problem(before: dict[str, str]) -> str:
    """Empty: there are no connections but those of `before`."""
    peers = sorted(peer for link, peer in connections().items() if link not in before)
    return f"it is connected to {', '.join(dict.fromkeys(peers))} since its import" if peers else ""


def _peer(descriptor: int) -> str:
    """HOST:PORT or a path; empty for what is no connection to another process: a datagram is nobody's answer, and a
    socket pair (of an event loop) has no name. Raises OSError if it is not connected."""
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.type != socket.SOCK_STREAM:
            return ""
        peer = copy.getpeername()
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else os.fsdecode(peer)
