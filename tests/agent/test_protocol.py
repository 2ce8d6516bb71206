"""The message contract between supervisor, zygote and agents."""

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest

from pools.protocol import (
    MAX_FRAME_BYTES,
    MESSAGES,
    Ended,
    FrameReader,
    Go,
    Message,
    Ping,
    ProtocolError,
    Ready,
    Start,
    decode,
    encode,
    encode_frame,
)

EXAMPLES: dict[Any, Any] = {
    bool: True,
    int: 7,
    float: 1.5,
    str: "ünïcödé 🎧",
    dict[str, Any]: {"a": [1, None, {"b": "c"}]},
    list[dict[str, Any]]: [{"role": "user"}],
}


def example(kind: type[Message]) -> Message:
    return kind(**{known.name: EXAMPLES[known.type] for known in fields(kind)})


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_every_message_survives_the_wire(kind: type[Message]) -> None:
    message = example(kind)
    assert decode(encode(message)) == message
    assert FrameReader().feed(encode_frame(message)) == [message]


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_a_missing_field_without_a_default_is_refused(kind: type[Message]) -> None:
    for known in fields(kind):
        body = json.loads(encode(example(kind)))
        del body[known.name]
        if known.default is MISSING and known.default_factory is MISSING:
            with pytest.raises(ProtocolError, match=known.name):
                decode(json.dumps(body).encode())
        else:
            assert isinstance(decode(json.dumps(body).encode()), kind)


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_a_field_of_the_wrong_type_is_refused(kind: type[Message]) -> None:
    for known in fields(kind):
        for wrong in (None, 1 if known.type is bool else True):  # true is 1 to Python, and no number to us
            body = {**json.loads(encode(example(kind))), known.name: wrong}
            with pytest.raises(ProtocolError, match=known.name):
                decode(json.dumps(body).encode())


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\xff\xfe",
        b"READY",
        b"[]",
        b"null",
        b"1",
        b"[" * 100_000,
        b"{}",
        b'{"v":1}',
        b'{"v":1,"type":null}',
        b'{"v":1,"type":["go"]}',
        b'{"v":1,"type":"gone"}',
        b'{"v":2,"type":"ping","number":1}',
        b'{"v":"1","type":"ping","number":1}',
    ],
)
def test_what_is_not_a_message_is_a_protocol_error(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(packet)


def test_nul_characters_are_left_out_wherever_they_are() -> None:
    ended = Ended("s", "bot_error", transcript=[{"a\0": "b\0c"}], detail={"x": ["\0", 1, "\\u0000"]}, error="\0no")
    without = Ended("s", "bot_error", transcript=[{"a": "bc"}], detail={"x": ["", 1, "\\u0000"]}, error="no")
    assert decode(encode(ended)) == without


def test_unknown_fields_are_ignored_so_that_a_newer_peer_may_add_some() -> None:
    assert decode(b'{"v":1,"type":"ping","number":3,"colour":"blue"}') == Ping(3)


def test_an_error_does_not_quote_the_content() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(b'{"v":1,"type":"start","token":"SECRET","session":["SECRET"]}')
    assert "SECRET" not in str(caught.value)
    with pytest.raises(ProtocolError) as caught:
        decode(b'{"token":"SECRET"')
    assert "SECRET" not in str(caught.value)


def test_tokens_and_what_was_said_are_not_in_a_repr() -> None:
    start = Start("s", 1, "https://r", "SECRET", {"phone": "SECRET"}, 60.0)
    ended = Ended("s", "bot_ended", transcript=[{"content": "SECRET"}], detail={"x": "SECRET"})
    assert "SECRET" not in repr(start) + repr(ended)


def test_frames_arrive_whole_however_the_stream_is_cut() -> None:
    messages = [Ping(1), Ready(2, "v", {"models": ["a", "b"]}), Go("s", 3)]
    stream = b"".join(map(encode_frame, messages))
    for size in (1, 2, 3, 5, 7, 64, len(stream)):
        reader = FrameReader()
        arrived = [m for at in range(0, len(stream), size) for m in reader.feed(stream[at : at + size])]
        assert arrived == messages


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match="at most"):
        encode_frame(Ended("s", "x" * MAX_FRAME_BYTES))


def test_the_longest_frame_goes_through() -> None:
    overhead = len(encode(Ended("s", "")))
    message = Ended("s", "x" * (MAX_FRAME_BYTES - overhead))
    assert FrameReader().feed(encode_frame(message)) == [message]
