"""A file lock (flock) with a deadline. The kernel releases the lock of a process that dies."""

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import IO, Self

from devtools.embedded_postgres.errors import EmbeddedPostgresError

logger = logging.getLogger(__name__)


def private(path: str, flags: int) -> int:
    """Open a file as an opener of open(); a new file is readable by its owner only."""
    return os.open(path, flags, 0o600)


class FileLock:
    """A lock on a file that is never deleted. One object holds it at most once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self, *, shared: bool = False, deadline: float) -> None:
        """Wait at most `deadline` seconds."""
        started, told = time.monotonic(), False
        while not self.try_acquire(shared=shared):
            waited = time.monotonic() - started
            if waited > deadline:
                raise EmbeddedPostgresError(f"another process has held {self.path} for {deadline:.0f} s")
            if waited > 2 and not told:
                logger.info("event=waiting_for_lock path=%s", self.path)
                told = True
            time.sleep(0.01)

    def try_acquire(self, *, shared: bool = False) -> bool:
        file = open(self.path, "ab", opener=private)  # noqa: SIM115 - open as long as the lock is held
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
