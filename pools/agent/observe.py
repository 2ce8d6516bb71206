"""Observes an unchanged bot from outside: when it joins, when callers come and go, when it first speaks and hears.

Every Pipecat transport announces what happens in its room through `BaseTransport._call_event_handler(name, ...)`,
whether or not the bot has a handler for it; every output transport pushes a `BotStartedSpeakingFrame`; what is heard
and what fails are frames too. All are wrapped once, before the fork, in the process that has imported Pipecat; the
session of the child listens.
"""

import re
import sys
from typing import Any, Protocol

from pools.phone import words_in

_DAILY = "pipecat.transports.daily.transport"
_SPEECH_TO_TEXT = "pipecat.services.stt_service"

_JOINED = {"on_joined", "on_connected"}
_CAME = {"on_first_participant_joined", "on_participant_joined", "on_client_connected"}
_WENT = {"on_participant_left", "on_client_disconnected"}
_PHONE = {"on_dialout_answered": "answered", "on_dialout_stopped": "stopped", "on_dialout_error": "error"}
# Daily documents the types of errors, but not the texts that its Python client makes of them.
_NO_ROOM = re.compile(
    r"Error joining .*(\b(no|exp)-room\b|does not exist|no longer available)", re.IGNORECASE | re.DOTALL
)
_REFUSED = re.compile(r"Error joining .*\b(not-allowed|(exp|nbf)-token|nbf-room|meeting-full)\b", re.DOTALL)


class Listener(Protocol):
    """What a session wants to know. `caller` tells participants apart; `words` are Daily's about an error."""

    def bot_joined(self) -> None: ...
    def caller_joined(self, caller: str) -> None: ...
    def caller_left(self, caller: str) -> None: ...
    def bot_spoke(self) -> None: ...
    def wants_words(self) -> None: ...
    def heard(self, *, words: bool) -> None: ...
    def phone(self, event: str, words: str) -> None: ...
    def joining(self) -> None: ...
    def join_refused(self, words: str, *, no_room: bool) -> None: ...
    def error_seen(self, words: str) -> None: ...


_listener: Listener | None = None
_installed = False


def listen(listener: Listener | None) -> None:
    """Report to `listener` from now on what the transports of this process see; None: to nobody."""
    global _listener
    _listener = listener


def sees_joins() -> bool:
    """Return whether joins of Daily rooms are observed in this process, so that a missing one means something."""
    return _installed and _DAILY in sys.modules


def sees_speech() -> bool:
    """Return whether it is observed when the bot speaks or hears something."""
    return _installed


def note_error(words: str) -> None:
    """Report an error in the call after which the bot may go on."""
    if _listener is not None:
        _listener.error_seen(words)


def install() -> None:
    """Wrap Pipecat's transports. Call it after Pipecat was imported; a second call does nothing."""
    global _installed
    if _installed:
        return
    _installed = True
    from pipecat.frames.frames import BotStartedSpeakingFrame
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.transports.base_output import BaseOutputTransport
    from pipecat.transports.base_transport import BaseTransport

    call_event_handler = BaseTransport._call_event_handler
    push_frame = BaseOutputTransport.push_frame

    async def observed_call(self: Any, event_name: str, *args: Any, **kwargs: Any) -> None:
        _note(event_name, args)
        await call_event_handler(self, event_name, *args, **kwargs)

    async def observed_push(self: Any, frame: Any, *args: Any, **kwargs: Any) -> None:
        if _listener is not None and isinstance(frame, BotStartedSpeakingFrame):
            _listener.bot_spoke()
        await push_frame(self, frame, *args, **kwargs)

    _observe_frames(FrameProcessor)
    if _SPEECH_TO_TEXT in sys.modules:
        _observe_speech_to_text(sys.modules[_SPEECH_TO_TEXT].STTService)
    if _DAILY in sys.modules:
        _observe_daily(sys.modules[_DAILY].DailyTransportClient)
    BaseTransport._call_event_handler = observed_call  # type: ignore[method-assign]
    BaseOutputTransport.push_frame = observed_push  # type: ignore[method-assign]


def _observe_frames(processor: Any) -> None:
    from pipecat.frames.frames import (
        InterimTranscriptionFrame,
        TranscriptionFrame,
        UserStartedSpeakingFrame,
        VADUserStartedSpeakingFrame,
    )

    words = (TranscriptionFrame, InterimTranscriptionFrame)
    speech = (UserStartedSpeakingFrame, VADUserStartedSpeakingFrame)
    either = (*words, *speech)
    push, push_error = processor.push_frame, processor.push_error_frame

    def observed_push(self: Any, frame: Any, *args: Any, **kwargs: Any) -> Any:
        """Note the frames of interest. It is not a coroutine function, because every frame passes here many times."""
        if _listener is not None and isinstance(frame, either):
            _listener.heard(words=isinstance(frame, words))
        return push(self, frame, *args, **kwargs)

    async def observed_error(self: Any, error: Any, *args: Any, **kwargs: Any) -> None:
        note_error(f"{self.name}: {error.error}")
        await push_error(self, error, *args, **kwargs)

    processor.push_frame, processor.push_error_frame = observed_push, observed_error


def _observe_speech_to_text(service: Any) -> None:
    start = service.start

    async def observed_start(self: Any, *args: Any, **kwargs: Any) -> None:
        if _listener is not None:
            _listener.wants_words()
        await start(self, *args, **kwargs)

    service.start = observed_start


def _observe_daily(client: Any) -> None:
    join = client.join

    async def observed_join(self: Any) -> None:
        if _listener is not None:
            _listener.joining()
        await join(self)

    client.join = observed_join


def _note(event_name: str, args: tuple[Any, ...]) -> None:
    if _listener is None:
        return
    if event_name in _JOINED:
        _listener.bot_joined()
        for caller in _present_already(args):
            _listener.caller_joined(caller)
    elif event_name in _CAME:
        _listener.caller_joined(_identity(args))
    elif event_name in _WENT:
        _listener.caller_left(_identity(args))
    elif event_name in _PHONE:
        _listener.phone(_PHONE[event_name], words_in(args[0] if args else None))
    elif event_name == "on_error":
        _note_error(str(args[0]) if args else "")


def _note_error(words: str) -> None:
    """Report a failed join. A refusal is final, because Pipecat's transport does not retry; other failures may be the
    network's."""
    if _listener is None:
        return
    if _NO_ROOM.match(words):
        _listener.join_refused(words, no_room=True)
    elif _REFUSED.match(words):
        _listener.join_refused(words, no_room=False)
    else:
        _listener.error_seen(words)


def _present_already(args: tuple[Any, ...]) -> list[str]:
    """Report who is in the room. Daily's answer to a join lists everybody, with ourselves as "local"."""
    answer = args[0] if args and isinstance(args[0], dict) else {}
    participants = answer.get("participants")
    return [str(key) for key in participants if key != "local"] if isinstance(participants, dict) else []


def _identity(args: tuple[Any, ...]) -> str:
    """Return what identifies a participant: Daily passes a dictionary with an id, other transports a connection."""
    subject = args[0] if args else None
    if isinstance(subject, dict):
        return str(subject.get("id", ""))
    return str(id(subject))
