"""Joins a room of the sandbox as a participant, and follows what happens in it.

Real Daily rooms are joined by the bot's transport, over WebRTC. The sandbox carries no media: there the agent's shell
joins in the bot's place (`Start.sandbox`), over a WebSocket that stays open for as long as the session lasts, and whose
connection is the presence. The sandbox reports who joins and leaves, and passes messages between caller and bot, with
which they connect directly (`pools.agent.local_call`).
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

Participant = dict[str, Any]
"""`{"id", "user_id", "user_name", "owner"}`"""

Callback = Callable[[str, Participant], None]
"""Called with "joined" or "left" and the participant, on the event loop."""

Receiver = Callable[[str, dict[str, Any]], None]
"""Called with the id of a participant and the message that they sent us."""


class JoinError(Exception):
    """The sandbox refused the join; the message is its error type and text. `no_room`: the room does not exist (any
    more)."""

    def __init__(self, message: str, *, no_room: bool = False) -> None:
        super().__init__(message)
        self.no_room = no_room


class SandboxRoom:
    """The presence of this process in one room."""

    def __init__(self, room_url: str, token: str, receiver: Receiver | None = None, user_name: str = "") -> None:
        """`receiver` takes the messages of other participants; without it, nobody can connect to us."""
        self._address = _join_address(room_url)
        self._hello = {"token": token, "media": receiver is not None, **({"user_name": user_name} if user_name else {})}
        self._receiver = receiver
        self._requests = 0
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._callbacks: list[Callback] = []
        self._phone_callbacks: list[Callback] = []
        self._happened: list[tuple[str, Participant]] = []
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.participant_id = ""
        self.is_left = False

    def subscribe(self, callback: Callback) -> None:
        """Tell `callback` who joins and leaves, beginning with those who were there when we joined.

        A bot may take longer to start than a caller to give up, and has to know that somebody was there.
        """
        self._callbacks.append(callback)
        for event, participant in list(self._happened):
            callback(event, participant)

    def subscribe_to_phones(self, callback: Callback) -> None:
        """Tell `callback` of dialled phones: "connected", "answered", "stopped" or "error", and the event."""
        self._phone_callbacks.append(callback)

    async def join(self) -> None:
        """Join the room. Raises JoinError."""
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(self._address)
            await self._socket.send_json(self._hello)
            answer = await self._socket.receive_json()
        except (aiohttp.ClientError, TypeError, ValueError, OSError) as error:
            raise JoinError(f"no answer from the sandbox ({type(error).__name__})") from error
        if not isinstance(answer, dict) or answer.get("event") != "joined":
            kind, message = (answer.get("type"), answer.get("message")) if isinstance(answer, dict) else ("", "")
            raise JoinError(f"{kind}: {message}", no_room=kind in ("no-room", "exp-room"))
        self.participant_id = str(answer["id"])
        for participant in answer.get("participants", []):
            self._tell("joined", participant)

    async def watch(self) -> str:
        """Follow the room until we are no longer in it; returns "ejected" or "room_lost", or "" if we have left it."""
        if self._socket is None:
            raise RuntimeError("watch() before join()")
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = message.json()
            if event.get("event") == "participant-joined":
                self._tell("joined", event["participant"])
            elif event.get("event") == "participant-left":
                self._tell("left", event["participant"])
            elif str(event.get("event")).startswith("dialout-"):
                for callback in self._phone_callbacks:
                    callback(event["event"].removeprefix("dialout-"), event)
            elif event.get("event") == "message" and self._receiver is not None:
                self._receiver(event["from"], event["data"])
            elif event.get("event") == "answer" and (asked := self._asked.pop(event["request"], None)):
                asked.set_result(event["with"])
            elif event.get("event") == "ejected":
                return "ejected"
        return "" if self.is_left else "room_lost"

    async def send(self, to: str, data: dict[str, Any]) -> None:
        """Send a message to one participant. If the room is lost, nothing is sent; `watch` reports that."""
        if self._socket is not None and not self._socket.closed:
            with contextlib.suppress(ConnectionError):
                await self._socket.send_json({"to": to, "data": data})

    async def ask(self, what: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Send an owner's request (to dial, to record) and return the answer. A refusal is `{"error": ...}`."""
        if self._socket is None or self._socket.closed:
            return {"error": "the room is lost"}
        self._requests += 1
        asked = self._asked[self._requests] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"request": self._requests, "do": what, "with": settings})
        return await asked

    async def leave(self) -> None:
        """Leave the room, within a second."""
        self.is_left = True
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(1):
                if self._socket is not None:
                    await self._socket.close()
                if self._http is not None:
                    await self._http.close()

    def _tell(self, event: str, participant: Participant) -> None:
        if participant["id"] == self.participant_id:
            return
        self._happened.append((event, participant))
        for callback in self._callbacks:
            callback(event, participant)


_current: SandboxRoom | None = None
_entered: Callable[[SandboxRoom], None] | None = None


def current_room() -> SandboxRoom | None:
    """Return the sandbox room that this process is in, if any."""
    return _current


def tell_of_entry(entered: Callable[[SandboxRoom], None]) -> None:
    """Register a callback of the session for the room that its bot joins."""
    global _entered
    _entered = entered


async def join_room(room_url: str, token: str, receiver: Receiver | None = None, user_name: str = "") -> SandboxRoom:
    """Join a room and make it the current one. Raises JoinError."""
    global _current
    room = SandboxRoom(room_url, token, receiver, user_name)
    try:
        await room.join()
    except BaseException:
        await room.leave()
        raise
    _current = room
    if _entered is not None:
        _entered(room)
    return room


def _join_address(room_url: str) -> str:
    parts = urlsplit(room_url)
    return f"ws://{parts.netloc}/sandbox/rooms/{parts.path.strip('/')}/join"
