"""Speaking with a caller in a room of the sandbox: the unchanged bot, over Pipecat's SmallWebRTC transport.

The caller's page sends its WebRTC offer through the room, the answer goes back the same way, and from then on voices
go directly between the page and this process. The peer connection exists before anybody calls: so the bot is in the
room, its pipeline running, when the caller comes, as it would be at Daily.

Who is there is the room's to say, not the connection's: a page that is reloaded makes a new connection, and the bot
goes on. A simulated caller has no page and makes no offer; it hears everything and says nothing.
"""

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from pools.agent.sandbox_room import Participant, SandboxRoom

if TYPE_CHECKING:
    from pools.agent.webrtc import RoomConnection

logger = logging.getLogger(__name__)


class LocalCall:
    """The one call of this process: takes the messages of a room's callers to a connection, one after the other."""

    def __init__(self, connection: "RoomConnection") -> None:
        self.connection = connection
        self._room: SandboxRoom | None = None
        self._caller = ""
        self._phone = False
        self._todo: asyncio.Queue[tuple[str, str, Any]] = asyncio.Queue()
        self._working: asyncio.Task[None] | None = None

    def attach(self, room: SandboxRoom, *, phone: bool = False) -> None:
        """The room has been joined; what its callers have sent before is answered now. `phone`: the caller is a
        telephone, to which there is nobody to speak before it is answered."""
        self._room = room
        self._phone = phone
        room.subscribe(self._room_changed)
        room.subscribe_to_phones(self._phone_changed)
        self._working = asyncio.get_running_loop().create_task(self._work(room))

    def receive(self, sender: str, data: dict[str, Any]) -> None:
        if data.get("type") == "offer":
            self._todo.put_nowait(("offer", sender, data))

    def _room_changed(self, event: str, participant: Participant) -> None:
        if event == "joined" and not (participant.get("media") or self._phone):
            self._todo.put_nowait(("mute", participant["id"], None))
        elif event == "left":
            self._todo.put_nowait(("left", participant["id"], None))

    def _phone_changed(self, event: str, data: dict[str, Any]) -> None:
        if event == "answered" and self._phone:
            self._todo.put_nowait(("mute", str(data.get("sessionId")), None))

    async def _work(self, room: SandboxRoom) -> None:
        while True:
            what, who, data = await self._todo.get()
            try:
                await self._do(room, what, who, data)
            except Exception as error:  # a page may send anything; the bot is not to suffer from it
                logger.warning("call=%s of %s failed error=%s: %s", what, who, type(error).__name__, error)
                await room.send(who, {"type": "refused", "reason": "the bot could not make sense of the offer"})

    async def _do(self, room: SandboxRoom, what: str, who: str, data: Any) -> None:
        if what == "left":
            if who == self._caller:
                self._caller = ""
                await self.connection.caller_has_left()
        elif self._caller not in ("", who):
            if what == "offer":
                await room.send(who, {"type": "refused", "reason": "the bot is talking to somebody else"})
        elif what == "mute":
            self._caller = who
            await self.connection.meet_mute_caller()
        else:
            self._caller = who
            began = time.monotonic()
            answer = await self.connection.answer(str(data.get("sdp", "")))
            await room.send(who, {**answer, "took_ms": round((time.monotonic() - began) * 1000, 1)})


def new_call() -> LocalCall | None:
    """None where the bot has no Pipecat (or that has no SmallWebRTC): then it is present and does not speak."""
    webrtc = sys.modules.get("pools.agent.webrtc")
    return LocalCall(webrtc.RoomConnection()) if webrtc is not None else None
