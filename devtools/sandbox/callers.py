"""Joining a room: by WebSocket, where the connection is the presence, or as a caller that the sandbox simulates.

Both forms are authorised by the meeting token itself, not by the API key. Over their WebSockets participants pass
messages to each other (a caller's WebRTC offer to the bot, its answer back); the sandbox reads none of them.
"""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from devtools.sandbox.auth import bearer, same
from devtools.sandbox.errors import DailyError, JoinRefused, invalid_request, quoted
from devtools.sandbox.presence import Participant
from devtools.sandbox.properties import is_number
from devtools.sandbox.requests import answer
from devtools.sandbox.routing import Call, Route
from devtools.sandbox.world import World

logger = logging.getLogger(__name__)

FIRST_MESSAGE_SECONDS = 10.0
HEARTBEAT_SECONDS = 20.0
CLOSE_SECONDS = 0.3
MAX_MESSAGE_BYTES = 64 * 1024
MAX_WAITING_EVENTS = 1000
USER_NAME_CHARS = 256
MAX_STAY_SECONDS = 7 * 86_400.0


@dataclass(frozen=True)
class JoinRequest:
    """The first message of a WebSocket; see `join_by_socket`."""

    token: str | None = None
    user_name: str | None = None
    media: bool = False
    reconnects: bool = False
    resume: str | None = None


class Outbox:
    """Events on their way to one WebSocket. A client that does not read them loses its connection."""

    def __init__(self, request: web.Request) -> None:
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._request = request

    def put(self, event: dict[str, Any] | None) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            if self._request.transport is not None:
                self._request.transport.abort()

    async def drain(self, socket: web.WebSocketResponse) -> None:
        """Send events until None, the last one, arrives."""
        while (event := await self._events.get()) is not None:
            await socket.send_json(event)


async def join_by_socket(world: World, request: web.Request, room_name: str) -> web.WebSocketResponse:
    """Serve `GET /sandbox/rooms/{name}/join` until the participant goes, is thrown out or loses the connection.

    The client's first message is `{"token"?, "user_name"?, "media"?, "reconnects"?, "resume"?}`. It gets `joined`
    or `error` (then the connection is closed), and `participant-joined`, `participant-left`, `ejected` events.

    With `media` it has a voice: what it sends as `{"to"?: id, "data": {...}}` is passed on, without `to` to the bot
    (which may come later), and arrives as a `message` event. With `reconnects` a lost connection is not the end: it
    may come back within some seconds, naming as `resume` the id that it had. To close with code 1000 is to leave.

    An owner may ask what Daily's SDK can ask, with `{"request": number, "do": ..., "with": {...}}` (see `requests`);
    the answer is an `answer` event with that number.
    """
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=MAX_MESSAGE_BYTES, compress=False
    )
    await socket.prepare(request)
    outbox = Outbox(request)
    try:
        wanted = await _first_message(socket)
        participant, others = world.join(
            room_name,
            wanted.token,
            outbox.put,
            user_name=wanted.user_name,
            media=wanted.media,
            reconnects=wanted.reconnects,
            resume=wanted.resume,
        )
    except JoinRefused as refusal:
        await socket.send_json({"event": "error", "type": refusal.type, "message": refusal.message})
        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
        return socket
    await _stay(world, socket, outbox, participant, others)
    return socket


async def _stay(
    world: World, socket: web.WebSocketResponse, outbox: Outbox, me: Participant, others: list[Participant]
) -> None:
    joined = {"event": "joined", "id": me.id, "owner": me.owner, "participants": [p.as_event() for p in others]}
    sender = asyncio.ensure_future(_send(socket, joined, outbox))
    receiver = asyncio.ensure_future(_receive(world, socket, me))
    try:
        await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sender, receiver):
            task.cancel()
        results = await asyncio.gather(sender, receiver, return_exceptions=True)
        if me.deliver == outbox.put:  # otherwise they are back already, over another connection
            _gone(world, socket, me)
        for error in results:
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                logger.error("join=%s room=%s failed", me.id, me.room_name, exc_info=error)
    await socket.close(code=WSCloseCode.OK)


async def _send(socket: web.WebSocketResponse, joined: dict[str, Any], outbox: Outbox) -> None:
    await socket.send_json(joined)
    await outbox.drain(socket)


def _gone(world: World, socket: web.WebSocketResponse, me: Participant) -> None:
    lost = socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE)
    if me.reconnects and socket.close_code != WSCloseCode.OK:  # a page that is reloaded says 1001
        world.lose(me.id, "connection-lost")
    else:
        world.leave(me.id, "connection-lost" if lost else "left")


async def _receive(world: World, socket: web.WebSocketResponse, me: Participant) -> None:
    """Pass messages on until the connection is closed, properly or not."""
    async for message in socket:
        if message.type is WSMsgType.TEXT and me.media and world.presence.find(me.id) is me:
            _take(world, me, message.data)


def _take(world: World, me: Participant, text: str) -> None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return  # a client's mistake, and nobody else's business
    if not isinstance(message, dict):
        return
    to, data = message.get("to"), message.get("data")
    if isinstance(data, dict) and (to is None or isinstance(to, str)):
        world.presence.pass_on(me, to, data)
    elif is_number(message.get("request")):
        me.deliver({"event": "answer", "request": message["request"], "with": answer(world, me, message)})


async def _first_message(socket: web.WebSocketResponse) -> JoinRequest:
    try:
        message = await socket.receive(FIRST_MESSAGE_SECONDS)
    except TimeoutError:
        raise JoinRefused("not-allowed", f"no message came within {FIRST_MESSAGE_SECONDS:g} s") from None
    if message.type is not WSMsgType.TEXT:
        raise JoinRefused("not-allowed", "the first message should be a JSON text")
    try:
        wanted = json.loads(message.data)
    except (ValueError, RecursionError):
        raise JoinRefused("not-allowed", "the first message is not valid JSON") from None
    try:
        token, user_name = _who(wanted)
    except DailyError as error:
        raise JoinRefused("not-allowed", error.body["info"]) from None
    resume = wanted.get("resume")
    return JoinRequest(
        token=token,
        user_name=user_name,
        media=wanted.get("media") is True,
        reconnects=wanted.get("reconnects") is True,
        resume=resume if isinstance(resume, str) else None,
    )


def _who(wanted: object) -> tuple[str | None, str | None]:
    """Return the meeting token and the user's name of a join request."""
    if not isinstance(wanted, dict):
        raise invalid_request("a join should be an object")
    token, user_name = wanted.get("token"), wanted.get("user_name")
    if token is not None and not isinstance(token, str):
        raise invalid_request("token should be a string")
    if user_name is not None and (not isinstance(user_name, str) or len(user_name) > USER_NAME_CHARS):
        raise invalid_request(f"user_name should be a string of at most {USER_NAME_CHARS} characters")
    return token, user_name


# --- simulated callers -------------------------------------------------------------------------------------


def add_caller(call: Call) -> Any:
    """`{"token"?, "user_name"?, "stay_s"?}` -> `{"id"}`. Without `stay_s` the caller stays until it is removed."""
    body = call.json()
    token, user_name = _who(body)
    stay_s = body.get("stay_s")
    if stay_s is not None and not (is_number(stay_s) and 0 < stay_s <= MAX_STAY_SECONDS):
        raise invalid_request(f"stay_s was {quoted(stay_s)} but should be a number of seconds")
    caller, _ = call.world.join(
        call.params["name"], token, _listen_to_nothing, user_name=user_name, simulated=True, stay_s=stay_s
    )
    return {"id": caller.id}


def remove_caller(call: Call) -> Any:
    """Make a simulated caller leave. Needs the API key or the token with which the caller joined."""
    given, caller = bearer(call.authorization), call.world.presence.find(call.params["id"])
    own_token = caller is not None and caller.token is not None and same(caller.token, given)
    if not own_token and not same(call.world.options.api_key, given):
        raise DailyError(401, "authentication-error")
    if caller is None or not caller.simulated or caller.room_name != call.params["name"]:
        raise DailyError(404, "not-found", "no such simulated caller")
    call.world.leave(caller.id, "left")
    return {"id": caller.id}


def _listen_to_nothing(event: dict[str, Any] | None) -> None:
    """Ignore events: simulated callers receive none."""


JOIN_PATTERN = "/sandbox/rooms/{name}/join"
ROUTES = (
    Route("POST", "/sandbox/rooms/{name}/participants", add_caller),
    Route("DELETE", "/sandbox/rooms/{name}/participants/{id}", remove_caller),
)
