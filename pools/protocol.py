"""Messages between the supervisor and its agent processes, and between the supervisor and its zygote.

Pure: bytes in, dataclasses out; no I/O. A frame on an agent's control socket (a stream) is a 4-byte
big-endian length followed by that many bytes of JSON; on the zygote's socket (SOCK_SEQPACKET, which
keeps message boundaries and carries file descriptors) a packet is the JSON alone. Every message is an
object `{"v": 1, "type": "<name>", ...fields}`. Unknown fields are ignored, so that a newer peer may add
some; an unknown version, an unknown type, a missing field or a field of the wrong type is a
`ProtocolError`, which costs the one agent that sent it.

The hand-off, in order (design, section 6):

    agent -> Ready          warm, waiting
    supervisor -> Start     the session: room, meeting token, body
    agent -> Started        received, event loop turning, bot not yet called
    supervisor -> Go        the database says that this process owns the session: call the bot
    agent -> Joined, CallerJoined, FirstAudio ... Ended, exit
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

VERSION = 1
MAX_FRAME_BYTES = 4 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class ProtocolError(Exception):
    """The peer sent something that is not a message of this protocol."""


@dataclass(frozen=True)
class Message:
    """Base of all messages; `type` is the name on the wire."""

    type: ClassVar[str] = ""


@dataclass(frozen=True)
class Ready(Message):
    """The agent is warm and waits for a session. `warm` says what was warmed, and how long it took."""

    type: ClassVar[str] = "ready"
    pid: int
    version: str
    warm: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WarmupFailed(Message):
    """The bot module does not import, raised or is not a bot. `reason` is one line for people."""

    type: ClassVar[str] = "warmup_failed"
    reason: str


@dataclass(frozen=True)
class Start(Message):
    """The session that this process is to host. All durations are seconds.

    `attempt` numbers the hand-offs of a session: an answer to an earlier one is not an answer. `phone`: the caller is
    a telephone, which is in the room while it rings and has come when it is answered. `sandbox`: the room is one of a
    sandbox, which is entered over a WebSocket and not with Daily's SDK.
    """

    type: ClassVar[str] = "start"
    session: str
    attempt: int
    room_url: str
    token: str = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    session_limit: float
    join_timeout: float = 8.0
    caller_timeout: float = 60.0
    idle_timeout: float = 900.0
    reference: str = ""  # the caller's own id, for the log
    phone: bool = False
    afterwork: float = 0.0  # from `Ended` on, for what the bot has left to be done
    sandbox: bool = False
    prejoin: bool = False  # nobody has claimed it yet: join, wait for `Claimed`, which brings the body


@dataclass(frozen=True)
class Started(Message):
    """`Start` has arrived and the agent's event loop turns; the bot has not been called yet."""

    type: ClassVar[str] = "started"
    session: str
    attempt: int


@dataclass(frozen=True)
class Go(Message):
    """This process owns the session: call the bot. Obeyed only within four seconds of `Started`."""

    type: ClassVar[str] = "go"
    session: str
    attempt: int


@dataclass(frozen=True)
class Claimed(Message):
    """A caller has claimed this session, whose bot is in its room already."""

    type: ClassVar[str] = "claimed"
    session: str
    body: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Joined(Message):
    """The bot is in the room."""

    type: ClassVar[str] = "joined"
    session: str


@dataclass(frozen=True)
class CallerJoined(Message):
    """Somebody other than the bot is in the room."""

    type: ClassVar[str] = "caller_joined"
    session: str


@dataclass(frozen=True)
class FirstAudio(Message):
    """The bot's first audio has left its pipeline."""

    type: ClassVar[str] = "first_audio"
    session: str


@dataclass(frozen=True)
class Ended(Message):
    """The session is over; the process exits after this, at the latest when the time for `afterwork` is over.

    `reason` is one of the end reasons of the glossary; `outcome`, `transcript` and `detail` are what the
    bot reported through `pools.agent.report()`; `error` names the exception that ended the bot, if any; `cause` is what
    the carrier said of a telephone that was not answered, `phone_answered` that one was. `no_room`: Daily has no such
    room, so that no other process would get in either.
    """

    type: ClassVar[str] = "ended"
    session: str
    reason: str
    outcome: str = ""
    transcript: list[dict[str, Any]] = field(default_factory=list, repr=False)
    detail: dict[str, Any] = field(default_factory=dict, repr=False)
    error: str = ""
    cause: str = ""
    phone_answered: bool = False
    never_spoke: bool = False  # the caller came, and heard nothing of the bot
    never_heard: bool = (
        False  # the caller came, and the bot heard nothing of them: no words where it has speech to text
    )
    no_room: bool = False


@dataclass(frozen=True)
class Ping(Message):
    """Answered by the agent's event loop with the same number. `memory`: it also measures its own memory."""

    type: ClassVar[str] = "ping"
    number: int
    memory: bool = False


@dataclass(frozen=True)
class Pong(Message):
    """`private_bytes`: nobody else can measure it (`common.secrecy`). 0: it was not asked for."""

    type: ClassVar[str] = "pong"
    number: int
    private_bytes: int = 0


@dataclass(frozen=True)
class Stop(Message):
    """End the session within `deadline` seconds; an idle agent exits at once."""

    type: ClassVar[str] = "stop"
    reason: str
    deadline: float = 5.0


@dataclass(frozen=True)
class ZygoteReady(Message):
    """The zygote has imported the bot and loaded the models. It will not fork if that is `unsafe`, for this reason.

    `private_bytes`: its memory, most of which its forks share.
    """

    type: ClassVar[str] = "zygote_ready"
    pid: int
    version: str
    threads: int
    unsafe: str = ""
    warm: dict[str, Any] = field(default_factory=dict)
    private_bytes: int = 0


@dataclass(frozen=True)
class Fork(Message):
    """Fork one agent; its end of the control socket comes with the packet (SCM_RIGHTS)."""

    type: ClassVar[str] = "fork"
    agent: str


@dataclass(frozen=True)
class Forked(Message):
    """The agent exists; its pidfd comes with the packet (SCM_RIGHTS)."""

    type: ClassVar[str] = "forked"
    agent: str
    pid: int


@dataclass(frozen=True)
class ForkRefused(Message):
    """No agent was made: forking is not safe (threads, shared connections), or fork failed."""

    type: ClassVar[str] = "fork_refused"
    agent: str
    reason: str


@dataclass(frozen=True)
class AgentExited(Message):
    """The zygote has reaped an agent. `status` as in `os.waitstatus_to_exitcode`: negative is a signal."""

    type: ClassVar[str] = "agent_exited"
    agent: str
    pid: int
    status: int


MESSAGES: dict[str, type[Message]] = {
    message.type: message
    for message in (
        Ready,
        WarmupFailed,
        Start,
        Started,
        Go,
        Claimed,
        Joined,
        CallerJoined,
        FirstAudio,
        Ended,
        Ping,
        Pong,
        Stop,
        ZygoteReady,
        Fork,
        Forked,
        ForkRefused,
        AgentExited,
    )
}

_CHECKS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    dict[str, Any]: (dict,),
    list[dict[str, Any]]: (list,),
}


def encode(message: Message) -> bytes:
    """The message as JSON, without a length (one packet)."""
    body = {"v": VERSION, "type": message.type, **asdict(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def encode_frame(message: Message) -> bytes:
    """The message as a frame for a stream. Raises ProtocolError if it is longer than MAX_FRAME_BYTES."""
    body = encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"{message.type} message of {len(body)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    return _LENGTH.pack(len(body)) + body


def decode(packet: bytes) -> Message:
    """The message in a packet, without NUL characters, which PostgreSQL cannot store. Raises ProtocolError; never
    quotes the content, which may hold secrets."""
    try:
        body = json.loads(packet)
        if rb"\u0000" in packet:
            body = _without_nul(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON ({type(error).__name__}, {len(packet)} bytes)") from None
    if not isinstance(body, dict):
        raise ProtocolError("not a JSON object")
    if body.get("v") != VERSION:
        raise ProtocolError(f"protocol version {body.get('v')!r:.20}; this side speaks {VERSION}")
    name = body.get("type")
    message = MESSAGES.get(name) if isinstance(name, str) else None
    if message is None:
        raise ProtocolError(f"unknown message type {name!r:.40}")
    return message(**dict(_known_fields(message, body)))


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [_without_nul(entry) for entry in value]
        case dict():
            return {_without_nul(key): _without_nul(entry) for key, entry in value.items()}
    return value


def _known_fields(message: type[Message], body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for known in fields(message):
        if known.name not in body:
            if known.default is known.default_factory:  # both MISSING: the field has no default
                raise ProtocolError(f"{message.type} without {known.name}")
            continue
        value = body[known.name]
        if isinstance(value, bool) != (known.type is bool) or not isinstance(value, _CHECKS[known.type]):
            raise ProtocolError(f"{message.type}: {known.name} is a {type(value).__name__}")
        yield known.name, value


class FrameReader:
    """Cuts a stream into messages: feed it what arrives, take what is complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Add bytes; return the messages that are now complete. Raises ProtocolError."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"frame of {length} bytes; at most {MAX_FRAME_BYTES} are allowed")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(decode(bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return messages
