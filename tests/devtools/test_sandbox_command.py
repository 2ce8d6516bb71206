"""`manage.py rundailysandbox` as a process, without a database."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from django.core.management.base import CommandError

from devtools.management.commands.rundailysandbox import Command
from tests.support.daily_sandbox import Sandbox
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "a-key-of-this-test-only-0123456789abcdef"
ENVIRONMENT = {
    **os.environ,
    "DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/none",  # must not matter
    "SECRET_KEY": "secret-key-of-this-test-only-0123456789",
    "DAILY_SANDBOX_API_KEY": KEY,
}


def command(*options: str) -> list[str]:
    return [sys.executable, "manage.py", "rundailysandbox", *options]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the line that it prints when it listens."""
    process = subprocess.Popen(
        command(*options), cwd=ROOT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*options), cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_says_where_and_stops_at_a_signal_with_everybody_thrown_out(number):
    with running("--port", "0", "--latency-ms", "0", "--domain", "acme") as (process, line):
        assert line.startswith("Daily sandbox listening on http://127.0.0.1:")
        sandbox = Sandbox(line.split()[4], KEY)
        assert sandbox.call("GET", "/").json()["domain_name"] == "acme"
        sandbox.create_room("foo")
        sandbox.fault("timeout", "GET", "/presence")
        assert KEY not in Path(f"/proc/{process.pid}/cmdline").read_text()

        async def scenario() -> None:
            async with aiohttp.ClientSession() as session:
                visitor = await session.ws_connect(f"{sandbox.url}/sandbox/rooms/foo/join")
                await visitor.send_json({})
                assert (await visitor.receive_json(timeout=10))["event"] == "joined"
                headers = {"Authorization": f"Bearer {KEY}"}
                hanging = asyncio.create_task(session.get(f"{sandbox.url}/presence", headers=headers))
                await asyncio.to_thread(wait_until, lambda: sandbox.calls("GET /presence"))
                process.send_signal(number)
                assert await visitor.receive_json(timeout=10) == {"event": "ejected", "reason": "sandbox-stopped"}
                await asyncio.gather(hanging, return_exceptions=True)

        asyncio.run(scenario())
        stopping = time.monotonic()
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - stopping < 5
        _, errors = process.communicate()
        assert errors == ""


def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("--port", port)
    assert result.returncode == 1
    assert result.stderr == f"CommandError: cannot listen on 127.0.0.1:{port}: the port is already in use\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])  # noqa: S104 (refused)
def test_it_refuses_hosts_that_others_can_reach(host):
    options = vars(parse("--host", host, "--port", "0"))
    with pytest.raises(CommandError, match=f"{host} is not a loopback address; --allow-remote"):
        Command().handle(**options)


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "70000"),
        ("--latency-ms", "-1"),
        ("--latency-ms", "nan"),
        ("--presence-lag-s", "16"),
        ("--domain", "A b"),
    ],
)
def test_wrong_options_are_named(options):
    with pytest.raises(CommandError, match=f"argument {options[0]}: .*'{options[1]}'"):
        parse(*options)


def parse(*options: str) -> Namespace:
    return Command().create_parser("manage.py", "rundailysandbox").parse_args(options)


def test_help_explains_every_option():
    text = run("--help").stdout
    for option in ("--host", "--port", "--latency-ms", "--presence-lag-s", "--domain", "--allow-remote"):
        assert option in text
    assert "DAILY_SANDBOX_API_KEY" in text


def test_the_sandbox_imports_no_django():
    code = "import sys, devtools.sandbox.server; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
