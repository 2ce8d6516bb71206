"""Stands in for Daily's client SDK in rooms of the sandbox, below Pipecat's `DailyTransport`.

The transport is Pipecat's own, with all that it does and tells; only the names that it has imported from `daily` are
ours for a session in the sandbox. `CallClient` enters the room over a WebSocket (`sandbox_room`), where it hears who
comes and goes and dials phones; voices and app messages go to the caller's page over WebRTC (`local_voice`).

What cannot be done here raises `SandboxCannot`, which names it. What has nothing to act on here (subscriptions, what is
published, transcription) is accepted.

Imported by the warm-up of a process whose bot uses Pipecat.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from pipecat.transports.daily import transport as pipecat_daily

from pools.agent import observe
from pools.agent.local_voice import AudioSource, Peer, Renderer, SilentCaller, Voice
from pools.agent.sandbox_room import JoinError, Participant, SandboxRoom, join_room

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0  # after this, a caller is announced even if their page has not connected
_CLOSE_SECONDS = 1.0
_SOURCE = "microphone"

Completion = Callable[..., None]
Answered = Callable[[dict[str, Any], str | None], None]
"""Told what the room has answered, and the error if it was a refusal."""


class SandboxCannot(NotImplementedError):
    """The bot uses a feature of Daily that the sandbox does not have."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the sandbox cannot do this, Daily can: {what}")
        observe.note_error(str(self))


# --- devices -------------------------------------------------------------------------------------------------


class AudioTrack:
    """`CustomAudioTrack` of the SDK."""

    known: dict[str, AudioSource] = {}

    def __init__(self, source: AudioSource) -> None:
        self.id = str(uuid.uuid4())
        self.known[self.id] = source


class VideoSource:
    """`CustomVideoSource` of the SDK; video is discarded."""

    def __init__(self, width: int, height: int, color_format: str) -> None:
        self.width, self.height, self.color_format = width, height, color_format
        logger.warning("the sandbox carries no video: what the bot shows is seen by nobody")

    def write_frame(self, frame: bytes) -> None: ...


class VideoTrack:
    """`CustomVideoTrack` of the SDK."""

    def __init__(self, source: VideoSource) -> None:
        self.id = str(uuid.uuid4())


class Speaker:
    """`VirtualSpeakerDevice` of the SDK: all callers mixed, for a bot that does not use their single tracks."""

    def __init__(self, name: str, sample_rate: int, channels: int) -> None:
        self.name, self.sample_rate, self.channels = name, sample_rate, channels
        self._heard: dict[str, bytearray] = {}
        self._wanted: tuple[int, Completion] | None = None

    def hear(self, caller: str, samples: bytes) -> None:
        heard = self._heard.setdefault(caller, bytearray())
        heard += samples
        del heard[: -self.sample_rate * 2]  # nobody reads: a second of it is kept
        if self._wanted is not None:
            self._give(*self._wanted)

    def forget(self, caller: str) -> None:
        self._heard.pop(caller, None)

    def read_frames(self, frames: int, completion: Completion) -> None:
        if not self._heard:
            completion(b"")  # as the SDK answers in an empty room
        else:
            self._give(frames, completion)

    def _give(self, frames: int, completion: Completion) -> None:
        length = 2 * frames
        if max((len(heard) for heard in self._heard.values()), default=0) < length:
            self._wanted = (frames, completion)
            return
        self._wanted = None
        completion(_mixed([_cut(heard, length) for heard in self._heard.values()]) * self.channels)


def _cut(heard: bytearray, length: int) -> bytes:
    samples = bytes(heard[:length])
    del heard[:length]
    return samples.ljust(length, b"\0")


def _mixed(voices: list[bytes]) -> bytes:
    import numpy as np

    if len(voices) == 1:
        return voices[0]
    together = sum(np.frombuffer(voice, dtype=np.int16).astype(np.int32) for voice in voices)
    return bytes(np.clip(together, -32768, 32767).astype(np.int16).tobytes())


class Daily:
    """`Daily` of the SDK: the devices of the process. There is nothing native to start."""

    speaker: Speaker | None = None

    @staticmethod
    def init(*_: Any, **__: Any) -> None: ...

    @staticmethod
    def deinit() -> None: ...

    @staticmethod
    def set_log_level(level: Any) -> None: ...

    @classmethod
    def create_speaker_device(
        cls, name: str, sample_rate: int = 16_000, channels: int = 1, non_blocking: bool = True
    ) -> Speaker:
        cls.speaker = Speaker(name, sample_rate, channels)
        return cls.speaker

    @staticmethod
    def select_speaker_device(name: str) -> None: ...


# --- the call ------------------------------------------------------------------------------------------------


class Caller:
    """Another participant in the room: their audio, and the connection to their page."""

    def __init__(self, participant: Participant) -> None:
        self.id: str = participant["id"]
        self.participant = participant
        self.announced = False
        self.renderers: list[Renderer] = []
        self.line: Peer | SilentCaller | None = None

    def hear(self, frame: Any) -> None:
        for renderer in self.renderers:
            renderer.hear(frame)


class CallClient:
    """`daily.CallClient` of the SDK, in a room of the sandbox."""

    def __init__(self, event_handler: Any) -> None:
        self._events = event_handler
        self._loop = asyncio.get_running_loop()
        self._name = ""
        self._room: SandboxRoom | None = None
        self._voice: Voice | None = None
        self._callers: dict[str, Caller] = {}
        self._talking_to = ""  # the bot listens to one page; others are told that it is busy
        self._offers: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._answering: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __getattr__(self, name: str) -> Any:
        """Provide every other method of the SDK."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise SandboxCannot(f"CallClient.{name}")

    # --- joining and leaving -----------------------------------------------------------------------------------

    def join(
        self,
        meeting_url: str,
        meeting_token: str | None = None,
        client_settings: dict[str, Any] | None = None,
        completion: Completion | None = None,
    ) -> None:
        self._voice = _voice(client_settings or {})
        self._do(self._join(meeting_url, meeting_token or "", completion or _nothing))

    async def _join(self, url: str, token: str, completion: Completion) -> None:
        try:
            await self._enter(url, token)
        except JoinError as error:
            completion(None, str(error))
            return
        self._events.on_call_state_updated("joined")
        completion({"participants": self.participants()}, None)
        if self._room is not None:
            self._room.subscribe(self._room_changed)
            self._room.subscribe_to_phones(self._phone_changed)
            self._answering = self._loop.create_task(self._answer_offers(self._room))

    async def _enter(self, url: str, token: str) -> None:
        self._room = await join_room(url, token, self._received, self._name)

    def leave(self, completion: Completion | None = None) -> None:
        self._do(self._leave(completion or _nothing))

    async def _leave(self, completion: Completion) -> None:
        await self._close()
        self._events.on_call_state_updated("left")
        completion(None)

    def release(self) -> None:
        """Called in another thread."""
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._close()))

    async def _close(self) -> None:
        room, self._room = self._room, None
        closing = [self._loop.create_task(one.line.close()) for one in self._callers.values() if one.line is not None]
        self._callers.clear()
        if self._answering is not None:
            self._answering.cancel()
        if self._voice is not None:
            self._voice.close()
        if closing:
            await asyncio.wait(closing, timeout=_CLOSE_SECONDS)
        if room is not None:
            await room.leave()

    # --- who is there ------------------------------------------------------------------------------------------

    def participants(self) -> dict[str, Any]:
        me = {"id": self._room.participant_id if self._room else "", "user_name": self._name, "owner": True}
        others = {one.id: _as_daily(one.participant) for one in self._callers.values() if one.announced}
        return {"local": _as_daily(me, local=True), **others}

    def participant_counts(self) -> dict[str, int]:
        return {"present": len(self.participants()), "hidden": 0}

    def set_user_name(self, name: str) -> None:
        self._name = name

    def _room_changed(self, event: str, participant: Participant) -> None:
        if event == "joined":
            self._came(participant)
        elif caller := self._callers.get(participant["id"]):
            self._announce(caller)  # before they can leave, they must have been announced
            self._went(caller)

    def _came(self, participant: Participant) -> None:
        caller = self._callers[participant["id"]] = Caller(participant)
        if participant.get("media"):
            self._loop.call_later(CONNECT_SECONDS, self._announce, caller)
        else:
            caller.line = SilentCaller(caller.hear)
            self._announce(caller)

    def _announce(self, caller: Caller) -> None:
        """Where there is a page, as soon as the bot can be heard there: at Daily the two are one."""
        if caller.announced or self._callers.get(caller.id) is not caller:
            return
        caller.announced = True
        if Daily.speaker is not None:
            caller.renderers.append(Renderer(partial(_to_speaker, Daily.speaker, caller.id), Daily.speaker.sample_rate))
        self._events.on_participant_joined(_as_daily(caller.participant))

    def _went(self, caller: Caller) -> None:
        del self._callers[caller.id]
        if self._talking_to == caller.id:
            self._talking_to = ""
        if Daily.speaker is not None:
            Daily.speaker.forget(caller.id)
        if caller.line is not None:
            self._do(caller.line.close())
        self._events.on_participant_left(_as_daily(caller.participant), "leftCall")

    def _phone_changed(self, event: str, data: dict[str, Any]) -> None:
        getattr(self._events, f"on_dialout_{event}")({key: data[key] for key in data if key != "event"})

    # --- voices and messages -----------------------------------------------------------------------------------

    def _received(self, sender: str, data: dict[str, Any]) -> None:
        if data.get("type") == "offer":
            self._offers.put_nowait((sender, str(data.get("sdp", ""))))

    async def _answer_offers(self, room: SandboxRoom) -> None:
        """Answer offers one after the other; a page that returns makes a new one."""
        while True:
            sender, sdp = await self._offers.get()
            caller = self._callers.get(sender)
            if caller is None:
                continue
            if self._talking_to not in ("", sender):
                await room.send(sender, {"type": "refused", "reason": "the bot is talking to somebody else"})
                continue
            self._talking_to = sender
            try:
                await room.send(sender, await self._connect(caller, sdp))
            except Exception as error:  # aiortc raises various exceptions for invalid offers
                logger.warning("offer from=%s refused error=%s: %s", sender, type(error).__name__, error)
                await room.send(sender, {"type": "refused", "reason": "the bot could not make sense of the offer"})
                self._announce(caller)

    async def _connect(self, caller: Caller, sdp: str) -> dict[str, Any]:
        began = time.monotonic()
        if caller.line is not None:
            self._do(caller.line.close())
        caller.line = Peer(
            self._voice or _voice({}),
            caller.hear,
            lambda message: self._events.on_app_message(message, caller.id),
            lambda: self._announce(caller),
        )
        answer = await caller.line.answer(sdp)
        return {"type": "answer", "sdp": answer, "took_ms": round((time.monotonic() - began) * 1000, 1)}

    def set_audio_renderer(
        self,
        participant_id: str,
        callback: Callable[..., None],
        audio_source: str = _SOURCE,
        sample_rate: int = 16_000,
        callback_interval_ms: int = 20,
    ) -> None:
        if audio_source != _SOURCE:
            raise SandboxCannot(f"hear the audio source {audio_source} of a participant (set_audio_renderer)")
        if caller := self._callers.get(participant_id):
            caller.renderers.append(Renderer(lambda audio: callback(participant_id, audio, audio_source), sample_rate))

    def set_video_renderer(self, participant_id: str, callback: Any, video_source: str = "camera", **_: Any) -> None:
        raise SandboxCannot(f"see the {video_source} of a participant (set_video_renderer)")

    def send_app_message(
        self, message: Any, participant: str | None = None, completion: Completion | None = None
    ) -> None:
        for caller in self._callers.values():
            if caller.line is not None and participant in (None, "*", caller.id):
                caller.line.send(message)
        (completion or _nothing)(None)

    # --- phones and recordings, which are the room's -----------------------------------------------------------

    def start_dialout(self, settings: dict[str, Any] | None = None, completion: Completion | None = None) -> None:
        self._do(self._ask("start-dialout", settings or {}, _pair("sessionId", completion)))

    def stop_dialout(self, participant_id: str, completion: Completion | None = None) -> None:
        self._do(self._ask("stop-dialout", {"sessionId": participant_id}, _error_only(completion)))

    def start_recording(
        self,
        streaming_settings: Any = None,
        stream_id: str | None = None,
        force_new: bool | None = None,
        completion: Completion | None = None,
    ) -> None:
        def done(answer: dict[str, Any], error: str | None) -> None:
            _pair("recordingId", completion)(answer, error)
            if error is None:
                self._events.on_recording_started({"streamId": answer["recordingId"], "startedBy": self._name})

        self._do(self._ask("start-recording", {}, done))

    def stop_recording(self, stream_id: str | None = None, completion: Completion | None = None) -> None:
        def done(answer: dict[str, Any], error: str | None) -> None:
            _error_only(completion)(answer, error)
            if error is None:
                self._events.on_recording_stopped(stream_id or answer.get("recordingId", ""))

        self._do(self._ask("stop-recording", {}, done))

    async def _ask(
        self, what: str, settings: dict[str, Any], done: Callable[[dict[str, Any], str | None], None]
    ) -> None:
        if self._room is None:
            done({}, "not in a room")
            return
        answer = await self._room.ask(what, settings)
        error = answer.get("error")
        done(answer, None if error is None else str(error))

    # --- accepted ----------------------------------------------------------------------------------------------

    def start_transcription(self, settings: Any = None, completion: Completion | None = None) -> None:
        logger.warning(
            "the sandbox transcribes nothing: Daily's transcription, which the bot has started, stays silent"
        )
        (completion or _nothing)(None)
        self._events.on_transcription_started({"startedBy": self._name})

    def _accept(self, *_: Any, completion: Completion | None = None, **__: Any) -> None:
        (completion or _nothing)(None)

    stop_transcription = update_transcription = _accept
    update_subscriptions = update_subscription_profiles = update_publishing = update_inputs = _accept
    update_remote_participants = update_permissions = _accept

    def _do(self, work: Any) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(self._loop.create_task(work))


def _voice(settings: dict[str, Any]) -> Voice:
    """Return the bot's microphone, as the settings of a join name it."""
    microphone = settings.get("inputs", {}).get(_SOURCE, {})
    source = AudioTrack.known.get(microphone.get("settings", {}).get("customTrack", {}).get("id", ""))
    return Voice(source or AudioSource(48_000, 1))


def _to_speaker(speaker: Speaker, caller: str, audio: Any) -> None:
    speaker.hear(caller, audio.audio_frames)


def _as_daily(participant: Participant, *, local: bool = False) -> dict[str, Any]:
    """Convert a participant into the SDK's form."""
    sound = {"state": "playable" if participant.get("media") or local else "off", "subscribed": "subscribed"}
    return {
        "id": participant["id"],
        "info": {
            "isLocal": local,
            "isOwner": participant.get("owner", False),
            "userId": participant.get("user_id"),
            "userName": participant.get("user_name"),
        },
        "media": {_SOURCE: sound, "camera": {"state": "off", "subscribed": "unsubscribed"}},
    }


def _pair(name: str, completion: Completion | None) -> Answered:
    return lambda answer, error: (completion or _nothing)(answer.get(name, ""), error)


def _error_only(completion: Completion | None) -> Answered:
    return lambda _answer, error: (completion or _nothing)(error)


def _nothing(*_: Any) -> None: ...


# --- standing in ---------------------------------------------------------------------------------------------

_NAMES: dict[str, Any] = {
    "CallClient": CallClient,
    "CustomAudioSource": AudioSource,
    "CustomAudioTrack": AudioTrack,
    "CustomVideoSource": VideoSource,
    "CustomVideoTrack": VideoTrack,
    "Daily": Daily,
    "VirtualSpeakerDevice": Speaker,
}


def stand_in() -> None:
    """Make Pipecat's Daily transports in this process use the sandbox."""

    def put(_self: Any, queue: asyncio.Queue[Any], callback: Any, *args: Any) -> None:
        """Queue a callback without waiting: the SDK would wait in a thread of its own, but this is the event loop."""
        queue.put_nowait((callback, *args))

    for name, value in _NAMES.items():
        setattr(pipecat_daily, name, value)
    pipecat_daily.DailyTransportClient._call_async_callback = put  # type: ignore[assignment,method-assign]
