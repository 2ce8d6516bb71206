"""Checks whether a warm process may be forked: whether the bot's import has left threads or open connections.

A fork copies only the thread that calls it, so that locks of other threads would stay locked in the child for ever. A
connection would be shared by all children, and one of them would read the answers to another.
"""

import os
import socket
import threading
from contextlib import suppress


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def thread_problem() -> str:
    """Return which other threads this process has; empty if there is none."""
    number = thread_count()
    if number == 1:
        return ""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    names = [thread.name for thread in others]
    if native := number - 1 - len(others):
        names.append(f"{native} of native code")
    return f"it has {number} threads after its import, besides the main one: {', '.join(names)}"


def connections() -> dict[str, str]:
    """Return the open connections of this process: socket (as /proc names it) -> peer."""
    found = {}
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{descriptor}")
            if link.startswith("socket:") and (peer := _peer(descriptor)):
                found[link] = peer
    return found


def connection_problem(before: dict[str, str]) -> str:
    """Return which connections were opened since `before`; empty if none was."""
    peers = sorted(peer for link, peer in connections().items() if link not in before)
    return f"it is connected to {', '.join(dict.fromkeys(peers))} since its import" if peers else ""


def _peer(descriptor: int) -> str:
    """Return the peer of a socket as HOST:PORT or path. Raises OSError if it is not connected.

    Empty if it is no connection to another process: a datagram socket, or a socket pair, which has no name.
    """
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        if copy.type != socket.SOCK_STREAM:
            return ""
        peer = copy.getpeername()
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else os.fsdecode(peer)
