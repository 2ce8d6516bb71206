"""The server's parent process: starts `postgres`, reaps it, and stops it when its last user is gone.

Every user holds a shared lock on one file. The kernel drops the lock of a process that dies, however it dies; so
waiting for the exclusive lock is waiting for the last user. Runs by path, isolated, with the standard library only:

    python -I -S minder.py LOCK USERS UID GID postgres ARGUMENT...

LOCK is the file that whoever starts or stops the server locks, USERS the one that its users share.
"""

import fcntl
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

# Users that were killed leave children behind, which end within seconds and want the database until then.
PATIENCE = 15.0  # seconds


def main() -> None:
    lock_path, users_path, uid, gid, *command = sys.argv[1:]
    is_me = int(uid) == os.geteuid()
    account: dict[str, Any] = {} if is_me else {"user": int(uid), "group": int(gid), "extra_groups": []}
    server = subprocess.Popen(command, **account)

    def reap(_signal: int, _frame: FrameType | None) -> None:
        if os.waitpid(server.pid, os.WNOHANG) != (0, 0):
            os._exit(0)

    signal.signal(signal.SIGCHLD, reap)
    reap(signal.SIGCHLD, None)  # it may have ended before the handler was there
    with open(lock_path, "rb") as lock, open(users_path, "rb") as users:
        wait_for_last_user(lock.fileno(), users.fileno())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.send_signal(signal.SIGTERM)  # no new connections; end when the present ones have
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGINT)  # end the present ones
            server.wait()


def wait_for_last_user(lock: int, users: int) -> None:
    """Wait until no process uses the server. Returns with both locks held, taken in the order that all users follow."""
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody came meanwhile
            fcntl.flock(lock, fcntl.LOCK_UN)
        else:
            return


if __name__ == "__main__":
    main()
