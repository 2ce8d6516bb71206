"""Handles the output of an agent in a session: prefixes, redacts and bounds it, and never blocks the call.

Everything that the process writes to its standard output and error, native libraries included, goes into a pipe
that a thread of the same process drains into the pod's standard error. A pipe that nobody drains stops a call after
64 KB, and so would a pod's standard error that nobody reads: therefore it is written without blocking, and what it
does not take is lost and counted.
"""

import contextlib
import fcntl
import logging
import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pools.logs import log_format
from pools.logs.redaction import Redactor

THREAD = "session-log"
MAX_LINE = 4096  # bytes with prefix and newline; a pipe takes as much in one piece (PIPE_BUF)
LINES_PER_SECOND = 200
BURST_LINES = 1000
_PIPE_BYTES = 256 * 1024  # room for what native code prints while it holds the GIL, when nobody can drain the pipe
_LONGEST_UNREAD_LINE = 64 * 1024
_CLOSE_SECONDS = 0.5


class SessionLog:
    """Captures standard output and error of this process, from now until `close`."""

    def __init__(self, ids: Mapping[str, Any], redactor: Redactor, form: str) -> None:
        """`ids` are on every line: as text `agent=1a2b3c4d pid=17 session=... `, as JSON fields of their own."""
        compose = composer(ids, form)
        self._lines = Lines(compose, redactor, open_sink(pods_stderr()))
        read_end, write_end = wide_pipe()
        self._saved = os.dup(2)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.close(write_end)
        self._thread = threading.Thread(target=self._drain, args=(read_end,), name=THREAD, daemon=True)
        self._thread.start()

    def _drain(self, read_end: int) -> None:
        while data := os.read(read_end, 64 * 1024):
            self._lines.feed(data)
        self._lines.finish()

    def close(self) -> None:
        """Write what is still in the pipe, for at most half a second: a program of the bot's may hold it open."""
        with contextlib.suppress(OSError, ValueError):  # the bot may have closed or replaced them
            sys.stdout.flush()
            sys.stderr.flush()
        os.dup2(self._saved, 1)
        os.dup2(self._saved, 2)
        self._thread.join(_CLOSE_SECONDS)


class Lines:
    """Cuts a stream of bytes into lines, and passes on as many as the rate allows."""

    def __init__(self, compose: Callable[[bytes], bytes], redactor: Redactor, sink: Callable[[bytes], bool]) -> None:
        self._compose = compose
        self._redactor = redactor
        self._sink = sink
        self._partial = b""
        self._skipping = False  # true during the rest of a line that is too long
        self._allowance = float(BURST_LINES)
        self._refilled = time.monotonic()
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._partial + data).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._pass_on(line)
            self._skipping = False
        if len(rest) > _LONGEST_UNREAD_LINE:
            if not self._skipping:
                self._pass_on(rest)
            rest, self._skipping = b"", True
        self._partial = rest

    def finish(self) -> None:
        if self._partial and not self._skipping:
            self._pass_on(self._partial)
        self._tell_dropped()

    def _pass_on(self, line: bytes) -> None:
        if not line.strip():
            return
        now = time.monotonic()
        self._allowance = min(BURST_LINES, self._allowance + (now - self._refilled) * LINES_PER_SECOND)
        self._refilled = now
        if self._allowance < 1:
            self._dropped += 1
            return
        self._allowance -= 1
        self._tell_dropped()
        if not self._write(self._redactor.line(line)):
            self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped and self._write(b"log lines dropped=%d (too many, or nobody reads)" % self._dropped):
            self._dropped = 0

    def _write(self, line: bytes) -> bool:
        return self._sink(self._compose(line) + b"\n")


def composer(ids: Mapping[str, Any], form: str) -> Callable[[bytes], bytes]:
    """Return the function that puts `ids` on each line."""
    return log_format.json_line(ids, MAX_LINE) if form == log_format.JSON else log_format.text_line(ids, MAX_LINE)


def wide_pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    with contextlib.suppress(OSError):  # a user's pipes may be limited; the default size works too
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read_end, write_end


_pods_stderr = 2


def pods_stderr() -> int:
    """Return the descriptor of the pod's standard error in this process."""
    return _pods_stderr


def keep_pods_stderr() -> None:
    """Duplicate the pod's standard error, before descriptor 2 is replaced."""
    global _pods_stderr
    _pods_stderr = os.dup(2)


def open_sink(descriptor: int) -> Callable[[bytes], bool]:
    """Return a function that writes a line to the pod's standard error without blocking, and returns if it was written.

    Not O_NONBLOCK on the descriptor itself: that flag belongs to the open file, and all processes of the pod share it.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):  # cannot be opened again, but has a flag for single writes
        connection = socket.socket(fileno=os.dup(descriptor))
        return lambda line: _written(lambda: connection.send(line, socket.MSG_DONTWAIT))
    if stat.S_ISREG(
        mode
    ):  # never blocks; opened anew it would have a position of its own, and we would be written over
        file = os.dup(descriptor)
        return lambda line: _written(lambda: os.write(file, line))
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # for instance, it was opened by root before privileges were dropped
        shared = os.dup(descriptor)
        poll = select.poll()
        poll.register(shared, select.POLLOUT)
        # A pipe that is writable takes PIPE_BUF bytes; only a race with another process could make this wait.
        return lambda line: bool(poll.poll(0)) and _written(lambda: os.write(shared, line))
    return lambda line: _written(lambda: os.write(own, line))


def _written(write: Callable[[], int]) -> bool:
    try:
        write()
    except OSError:  # full, gone or broken: the line is lost, the call goes on
        return False
    return True


def log_to_stderr() -> None:
    """Make our own loggers write redacted lines to standard error; the root logger is left to the bot."""
    handler = logging.StreamHandler()
    handler.setFormatter(log_format.formatter(log_format.form_of_environment()))
    ours = logging.getLogger("pools")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
