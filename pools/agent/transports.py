"""Finds out from a bot's source which transports it supports, to refuse at once a bot that cannot join a Daily room.

A bot is only ever called with `DailyRunnerArguments`. One that expects `runner_args.webrtc_connection` or a carrier's
websocket would fail in every call.
"""

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

DAILY = "daily"
_NAMES = {  # a name in the source -> the transport that it stands for
    "DailyTransport": DAILY,
    "DailyRunnerArguments": DAILY,
    "room_url": DAILY,
    "SmallWebRTCTransport": "webrtc",
    "SmallWebRTCRunnerArguments": "webrtc",
    "webrtc_connection": "webrtc",
    "FastAPIWebsocketTransport": "websocket",
    "WebSocketRunnerArguments": "websocket",
    "parse_telephony_websocket": "websocket",
    "websocket": "websocket",
    "LiveKitTransport": "livekit",
    "LiveKitRunnerArguments": "livekit",
    "VonageRunnerArguments": "vonage",
}
# The keys of the dictionary that `create_transport` takes.
_KEYS = {DAILY, "webrtc", "websocket", "twilio", "telnyx", "plivo", "exotel", "livekit", "vonage"}
_ELSEWHERE = {"site-packages", "dist-packages"}


def known_in(source: str) -> set[str]:
    """Return the transports that a source can use; empty if it names none or cannot be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    return {name for node in ast.walk(tree) for name in _known_by(node)}


def _known_by(node: ast.AST) -> Iterable[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return [_NAMES[name]] if name in _NAMES else []
        case ast.Dict(keys=keys):
            words = [key.value for key in keys if isinstance(key, ast.Constant)]
            return [word for word in words if isinstance(word, str) and word in _KEYS]
        case ast.Constant(value="room_url"):  # of a body, or by getattr()
            return [DAILY]
    return []


def known_to(bot: str, before: set[str]) -> set[str]:
    """Return the transports that a bot can use.

    Its module is read, and the modules from its directory that were imported with it (not in `before`).
    """
    known = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and (name == bot or name not in before) and _is_the_bots(Path(file)):
            known |= known_in(_source(Path(file)))
    return known


def _is_the_bots(file: Path) -> bool:
    place = Path.cwd()
    return file.suffix == ".py" and file.is_relative_to(place) and not _ELSEWHERE & set(file.parts)


def _source(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
