"""The hand-offs that the zygote plays through while it warms up."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from pools.agent.rehearsal import _answer
from pools.protocol import FrameReader, Pong, encode_frame


def answer_of(said: bytes) -> object:
    """What the rehearsal makes of an understudy that says this and hangs up."""

    async def ask() -> object:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            theirs.sendall(said)
            theirs.close()
            return await asyncio.wait_for(_answer(ours, FrameReader()), 10)

    return asyncio.run(ask())


def test_an_answer_is_taken() -> None:
    assert answer_of(encode_frame(Pong(1))) == [Pong(1)]


def test_an_understudy_that_has_given_up_is_not_waited_for() -> None:
    with pytest.raises(EOFError):
        answer_of(b"")


REHEARSED = """
import os
from loguru import logger
from pools.agent import models, pipeline_rehearsal
logger.disable("pipecat.frames")
before = logger._core.activation_list, len(os.listdir("/proc/self/fd"))
models.load_and_run()
pipeline_rehearsal.rehearse_pipeline()
assert (logger._core.activation_list, len(os.listdir("/proc/self/fd"))) == before
print("threads:", len(os.listdir("/proc/self/task")))
"""


def test_a_rehearsed_pipeline_leaves_no_thread_no_socket_and_no_word() -> None:
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", REHEARSED],
        env=os.environ | one_thread,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("threads: 1\n", 0), done.stderr
    assert "pipecat.pipeline" not in done.stderr
