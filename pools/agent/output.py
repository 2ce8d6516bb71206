"""Redacts the output of a zygote and of agents outside of a session, in a process of its own.

A bot may print anything while it is imported and in `warm_up`, even its keys. In a session a thread redacts the output,
but a zygote with a second thread could not fork. So another process does it, forked before anything is imported. It
outlives a zygote that crashes, passes on its last output, and ends when all writers are gone.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from common.secrecy import name_process
from pools.agent.config import OUTPUT_PROCESS
from pools.agent.logs import Lines, composer, keep_pods_stderr, open_sink, pods_stderr, wide_pipe
from pools.logs.log_format import JSON, form_of_environment
from pools.logs.redaction import process_redactor


def redact_output(ids: Mapping[str, Any]) -> None:
    """Redact whatever this process and its children print from now on, and put `ids` before each line."""
    keep_pods_stderr()
    read_end, write_end = wide_pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        _pass_on(read_end, ids)
    os.close(read_end)
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    os.close(write_end)


def _pass_on(read_end: int, ids: Mapping[str, Any]) -> NoReturn:
    """Redact and write lines until the last writer is gone."""
    try:
        os.setsid()  # so that it survives when the process group of an agent is killed
        name_process(OUTPUT_PROCESS)
        form = form_of_environment()
        if form == JSON:
            ids = {**ids, "pod": os.environ.get("POD_NAME", "")}
        _close_all_but(0, 1, 2, read_end, pods_stderr())  # otherwise the control socket would never see EOF
        lines = Lines(composer(ids, form), process_redactor(), open_sink(pods_stderr()))
        while data := os.read(read_end, 64 * 1024):
            lines.feed(data)
        lines.finish()
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in kept:
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)


@contextmanager
def last_words() -> Iterator[list[str]]:
    """Remember the last line that Python code prints meanwhile; the list is empty until there is one."""
    words: list[str] = []
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "__dict__")]
    for stream in streams:
        stream.__dict__["write"] = _remembering(stream.write, words)
    try:
        yield words
    finally:
        for stream in streams:
            stream.__dict__.pop("write", None)


def _remembering(write: Callable[[str], int], words: list[str]) -> Callable[[str], int]:
    def write_and_remember(text: str) -> int:
        if lines := [line for line in text.splitlines() if line.strip()]:
            words[:] = lines[-1:]
        return write(text)

    return write_and_remember
