"""The HTTP server: passes each request through latency, key check, faults and limits to its handler, and counts it."""

import asyncio
import contextlib
import inspect
import logging
import socket
import struct
from ipaddress import ip_address
from weakref import WeakSet

from aiohttp import web

from devtools.sandbox import api, callers, control, recordings_api
from devtools.sandbox.auth import check_host, check_key
from devtools.sandbox.errors import DailyError, JoinRefused, rate_limited
from devtools.sandbox.pages import hint_page, page_file, room_page
from devtools.sandbox.rooms import NAME
from devtools.sandbox.routing import Call, Route, find, matched, normalised
from devtools.sandbox.webhook_sender import WebhookSender
from devtools.sandbox.world import World

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 2 * 1024 * 1024
HANG_SECONDS = 60.0
HANG_CHECK_SECONDS = 0.1
TICK_SECONDS = 0.05
IDLE_CONNECTION_SECONDS = 75.0
"""Daily reuses a connection that was idle for 60 s and has closed it after 120 s."""
SHUTDOWN_SECONDS = 0.5
ALIKE = {"127.0.0.1": "::1", "0.0.0.0": "::"}  # noqa: S104
"""What listens on the one listens on the other too, where the host has IPv6."""


class SandboxServer:
    """One listening sandbox. Start it in the event loop that is to serve it; port 0 takes a free one."""

    def __init__(self, world: World, host: str, port: int) -> None:
        self.world = world
        self._host = host
        self._port = port
        self._origin: str | None = None
        self._known_connections: WeakSet[asyncio.Transport] = WeakSet()
        self._stopping = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._sender = WebhookSender(world)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, keepalive_timeout=IDLE_CONNECTION_SECONDS
        )

    @property
    def url(self) -> str:
        """The address on which it listens, "http://host:port"."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Start to listen. Raises OSError if the address is not available."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        if (same := ALIKE.get(self._host)) is not None:
            with contextlib.suppress(OSError):  # a host without IPv6
                await web.TCPSite(self._runner, same, self._port).start()
        # Bound to every interface, it has no one address of its own: rooms get the one that was asked.
        self._origin = None if _is_any_address(self._host) else self.url
        self._ticker = asyncio.create_task(self._tick())
        await self._sender.start()

    async def stop(self) -> None:
        """Eject all participants and close, within a second."""
        self._stopping.set()
        if self._ticker is not None:
            self._ticker.cancel()
        self.world.presence.eject_all("sandbox-stopped", self.world.clock.now())
        await self._sender.stop()
        await self._runner.cleanup()

    async def _tick(self) -> None:
        while True:
            try:
                self.world.tick()
            except Exception:  # whatever it is: a sandbox whose clock stands still lets no room expire any more
                logger.exception("tick failed")
            await asyncio.sleep(TICK_SECONDS)

    # --- requests ------------------------------------------------------------------------------------------

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        segments = normalised(request.rel_url.raw_path)
        try:
            check_host(request.host)
        except (DailyError, ValueError) as error:
            return _error(error if isinstance(error, DailyError) else DailyError(400, "invalid-request-error"))
        try:
            return await self._serve(request, segments)
        except ConnectionError:  # the client went away in the middle of its request
            return web.Response()

    async def _serve(self, request: web.Request, segments: list[str]) -> web.StreamResponse:
        if segments[:2] == ["sandbox", "page"] and request.method == "GET":
            return page_file(segments[-1]) or _error(DailyError(404, "not-found"))
        if segments[:1] == ["sandbox"]:
            return await self._serve_control(request, segments)
        if not segments and request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return hint_page()  # Daily's own `GET /` is for programs
        found = find(api.ROUTES, request.method, segments)
        if found is None and request.method == "GET" and NAME.fullmatch(request.path.strip("/")):
            return room_page(segments[0])
        return await self._serve_api(request, segments, found)

    async def _serve_control(self, request: web.Request, segments: list[str]) -> web.StreamResponse:
        """Serve a control request, without latency, faults, limits or counting."""
        joined = matched(callers.JOIN_PATTERN, segments)
        if joined is not None and request.method == "GET":
            if request.headers.get("Upgrade", "").lower() != "websocket":
                return _error(DailyError(400, "invalid-request-error", "a join is a WebSocket"))
            return await callers.join_by_socket(self.world, request, joined["name"])
        try:
            call = await self._call(request)
            found = find(callers.ROUTES + recordings_api.DOWNLOADS, request.method, segments)
            if found is None:
                check_key(call.authorization, self.world.options.api_key)
                found = find(control.ROUTES, request.method, segments)
            return await _answer(found, call, request)
        except DailyError as error:
            return _error(error)

    async def _serve_api(
        self, request: web.Request, segments: list[str], found: tuple[Route, dict[str, str]] | None
    ) -> web.StreamResponse:
        world, route = self.world, found[0] if found else None
        name = route.name if route else "unknown"
        work_seconds = world.latency.draw()
        connect_seconds = world.latency.connect() if self._is_new_connection(request) else 0
        fault = None
        try:
            call = await self._call(request)  # all of it first: what was sent takes effect, caller or no caller
            await _sleep(connect_seconds + work_seconds / 2)
            check_key(call.authorization, world.options.api_key)
            fault = world.faults.take(request.method, "/" + "/".join(segments), route.pattern if route else "")
            if fault and fault.kind in ("timeout", "disconnect"):
                world.count(name, fault.kind)
                return await self._drop(request, hang=fault.kind == "timeout")
            if fault and fault.kind != "reset":
                raise fault.error()
            wait = world.limits.call(route.group if route else "default", name, world.clock.now())
            if wait is not None:
                raise rate_limited(wait if world.limits.settings.retry_after else None)
            response = await _answer(found, call, request)
        except DailyError as error:
            response = _error(error)
        if fault and fault.kind == "reset":
            world.count(name, fault.kind)
            _reset(request)
            return response
        world.count(name, str(response.status))
        await _sleep(work_seconds / 2)
        return response

    async def _call(self, request: web.Request) -> Call:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise DailyError(413, "invalid-request-error", f"the body is larger than {MAX_BODY_BYTES} bytes") from None
        return Call(
            world=self.world,
            sender=self._sender,
            origin=self._origin or f"http://{request.host}",
            query=request.query,
            body=body,
            authorization=request.headers.get("Authorization", ""),
        )

    # --- connections ---------------------------------------------------------------------------------------

    def _is_new_connection(self, request: web.Request) -> bool:
        if request.transport is None or request.transport in self._known_connections:
            return False
        self._known_connections.add(request.transport)
        return True

    async def _drop(self, request: web.Request, *, hang: bool) -> web.Response:
        """Close the connection without an answer; to hang, only after a minute, or when the client or we give up."""
        until = asyncio.get_running_loop().time() + HANG_SECONDS
        while hang and asyncio.get_running_loop().time() < until and not self._stopping.is_set():
            if request.transport is None or request.transport.is_closing():
                break
            await asyncio.sleep(HANG_CHECK_SECONDS)
        if request.transport is not None:
            request.transport.close()
        return web.Response()


async def _answer(found: tuple[Route, dict[str, str]] | None, call: Call, request: web.Request) -> web.Response:
    """Return the handler's answer as JSON or as a file. An unexpected exception becomes Daily's 500 and is logged."""
    if found is None:
        raise DailyError(404, "not-found")
    route, call.params = found
    try:
        result = route.handler(call)
        if inspect.isawaitable(result):
            result = await result
        return _file(result, request) if isinstance(result, bytes) else web.json_response(result)
    except JoinRefused as refusal:
        raise DailyError(refusal.status, refusal.type, refusal.message) from None
    except DailyError:
        raise
    except Exception:  # a bug of ours: told as Daily tells one of its own, in its shape, and not in aiohttp's
        logger.exception("route=%s failed", route.name.replace(" ", ":"))
        raise DailyError(500, "server-error") from None


def _file(content: bytes, request: web.Request) -> web.Response:
    """Return an MP4, or the requested range of it."""
    headers = {"Accept-Ranges": "bytes"}
    try:
        first, stop, _ = request.http_range.indices(len(content))
        wanted = request.http_range != slice(None, None, 1)
    except ValueError:
        raise DailyError(416, "invalid-request-error", "the Range header is malformed") from None
    if not wanted:
        return web.Response(body=content, content_type="video/mp4", headers=headers)
    if first >= stop:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(content)}"
    return web.Response(status=206, body=content[first:stop], content_type="video/mp4", headers=headers)


def _error(error: DailyError) -> web.Response:
    return web.json_response(error.body, status=error.status, headers=error.headers)


def _reset(request: web.Request) -> None:
    """Drop the connection with a TCP reset, as a broken network path would."""
    transport = request.transport
    if transport is None:
        return
    linger_not = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
    transport.abort()


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


def _is_any_address(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
