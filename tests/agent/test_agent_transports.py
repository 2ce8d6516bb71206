"""Which transports a bot knows, by its source."""

import pytest

from pools.agent.transports import known_in


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ('params = {"daily": lambda: DailyParams(), "twilio": lambda: None}', {"daily", "twilio"}),
        ('params = {"webrtc": lambda: None}\ncreate_transport(runner_args, params)', {"webrtc"}),
        ("SmallWebRTCTransport(webrtc_connection=runner_args.webrtc_connection)", {"webrtc"}),
        ("_, data = await parse_telephony_websocket(runner_args.websocket)", {"websocket"}),
        ("from pipecat.transports.websocket.fastapi import FastAPIWebsocketTransport", {"websocket"}),
        ("DailyTransport(args.room_url, args.token, 'Bot')", {"daily"}),
        ("getattr(args, 'room_url')", {"daily"}),
        ("from my_transport import Transport\nTransport(args)", set()),
        ("a syntax error", set()),
    ],
)
def test_the_transports_that_a_source_can_use(source: str, known: set[str]) -> None:
    assert known_in(source) == known
