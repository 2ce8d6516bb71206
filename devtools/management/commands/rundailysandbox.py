"""`manage.py rundailysandbox`: serve the Daily sandbox until SIGTERM or SIGINT. Needs no database."""

import asyncio
import errno
import os
import re
import signal
from argparse import ArgumentTypeError
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devtools.sandbox import SANDBOX_API_KEY
from devtools.sandbox.latency import CALL_MS, MAX_MS
from devtools.sandbox.presence import MAX_LAG_SECONDS
from devtools.sandbox.server import SandboxServer
from devtools.sandbox.world import SandboxOptions, World

KEY_VARIABLE = "DAILY_SANDBOX_API_KEY"


class Command(BaseCommand):
    help = (
        "Serve a sandbox that speaks Daily's REST protocol (rooms, meeting tokens, presence, rate limits) for "
        "development, tests and load runs. Everything is kept in memory. The API key is the value of "
        f"{KEY_VARIABLE}, by default a fixed development key. Control endpoints are below /sandbox."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
        parser.add_argument(
            "--port", type=_number(int, 0, 65_535), default=8002, help="port; 0 takes a free one (default %(default)s)"
        )
        parser.add_argument(
            "--latency-ms",
            type=_number(float, 0, MAX_MS),
            default=CALL_MS,
            help="median of a call, with a tail like Daily's; a new connection costs about three times this more "
            "(default %(default)g; 0 turns it off)",
        )
        parser.add_argument(
            "--presence-lag-s",
            type=_number(float, 0, MAX_LAG_SECONDS),
            default=0.0,
            help="how many seconds old the presence endpoints' answers are, at most 15 (default %(default)g)",
        )
        parser.add_argument("--domain", type=_domain, default="sandbox", help="Daily domain name (default %(default)s)")
        parser.add_argument("--allow-remote", action="store_true", help="allow a host that is not a loopback address")

    def handle(self, *args: Any, **options: Any) -> None:
        host, api_key = options["host"], os.environ.get(KEY_VARIABLE, "").strip() or SANDBOX_API_KEY
        if not _is_loopback(host):
            if not options["allow_remote"]:
                raise CommandError(f"{host} is not a loopback address; --allow-remote serves there nevertheless")
            if api_key == SANDBOX_API_KEY:
                self.stderr.write(f"warning: serving {host} with the published development key; set {KEY_VARIABLE}")
        world = World(
            SandboxOptions(
                api_key=api_key,
                domain=options["domain"],
                latency_ms=options["latency_ms"],
                presence_lag_s=options["presence_lag_s"],
            )
        )
        asyncio.run(self._serve(world, host, options["port"]))

    async def _serve(self, world: World, host: str, port: int) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = SandboxServer(world, host, port)
        try:
            await server.start()
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {_reason(error)}") from None
        options = world.options
        self.stdout.write(
            f"Daily sandbox listening on {server.url} (domain {options.domain}, latency {options.latency_ms:g} ms)"
        )
        self.stdout.flush()
        try:
            await stop.wait()
        finally:
            await server.stop()


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is already in use"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:  # also refuses NaN
            raise ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse


def _domain(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,63}", text):
        raise ArgumentTypeError(f"{text!r} is not a domain name of a-z, 0-9 and -, at most 63 long")
    return text
