"""The hand-offs that the zygote plays through while it warms up."""

import asyncio
import socket

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
