"""Keeps reports that outlive a supervisor: one private file per session, on the host where its agent runs.

An agent creates `<session>.<attempt>.json` when its bot starts and holds an flock on it for as long as it lives; when
the session is over it writes its `Ended` message into it, whether or not a supervisor is there. The supervisor that has
stored the report removes the file. So, for a supervisor that starts:

    locked                      the agent still runs, without a supervisor
    not locked, with a message  the session ended and this is its report
    not locked, empty           the agent died without a report

The directory is made with mode 0700, the files have mode 0600: reports hold what people said.
"""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pools.protocol import MAX_FRAME_BYTES, Ended, ProtocolError, decode, encode

logger = logging.getLogger(__name__)

_FILE = re.compile(r"(?P<session>[A-Za-z0-9_-]{1,64})\.(?P<attempt>\d{1,9})\.json")
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SpoolFile:
    """The agent's side of a file; holds its lock until the process is gone."""

    def __init__(self, directory: Path, session: str, attempt: int) -> None:
        """Create and lock the file. Raises OSError (disk full, no permission), ValueError (session is no file name)."""
        if _SESSION.fullmatch(session) is None:
            raise ValueError("the session's name cannot be a file's name")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The file is locked before it gets its name: a supervisor must never see that of a running agent unlocked.
        unnamed = directory / f".{session}.{attempt}.{os.getpid()}"
        self._fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(directory / f"{session}.{attempt}.json")

    def write(self, ended: Ended) -> None:
        """Write the report. Raises OSError."""
        remaining = memoryview(encode(ended))
        while remaining:
            remaining = remaining[os.write(self._fd, remaining) :]


@dataclass(frozen=True)
class SpooledReport:
    """A file as the supervisor sees it. `ended` is None if the agent still runs or died without a report."""

    session: str
    attempt: int
    path: Path
    running: bool
    ended: Ended | None


class _Content(NamedTuple):
    running: bool
    data: bytes


def spooled_reports(directory: Path) -> Iterator[SpooledReport]:
    """Return the files that the agents of this host have left in `directory`; some of these agents still run."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        name = _FILE.fullmatch(path.name)
        if name is None:
            continue
        try:
            content = _read(path)
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError as error:
            logger.warning("spool file=%s unreadable=%s", path.name, error.strerror)
            continue
        ended = None if content.running else _ended(path, content.data)
        yield SpooledReport(name["session"], int(name["attempt"]), path, content.running, ended)


def discard(directory: Path, session: str, attempt: int) -> None:
    """Remove the file of an attempt, once its report is stored or not needed."""
    if _SESSION.fullmatch(session):
        (directory / f"{session}.{attempt}.json").unlink(missing_ok=True)


def _read(path: Path) -> _Content:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _Content(running=True, data=b"")
        return _Content(running=False, data=file.read(MAX_FRAME_BYTES + 1))


def _ended(path: Path, data: bytes) -> Ended | None:
    if not data:
        return None
    try:
        message = decode(data)
    except ProtocolError as error:  # the agent was killed while it wrote
        logger.warning("spool file=%s error=%s", path.name, error)
        return None
    return message if isinstance(message, Ended) else None
