"""The real commands of the service as processes of a test: `manage.py runpools` and gunicorn, on the test's database.

Each writes to a file of its own, shown when the test fails, and ends with its block, whatever it has started included.
"""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import requests
from django.db import connection

from tests.support.daily_sandbox import Sandbox
from tests.support.process_tree import descendants
from tests.support.waiting import wait_until

PROJECT = Path(__file__).resolve().parent.parent.parent
LIGHT_BOT = "pools.agent.bots.light"
DEADLINE = 45.0

# --- processes ---------------------------------------------------------------------------------------------


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not a zombie."""
    return process_state(pid) not in ("", psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def process_state(pid: int) -> str:
    """As psutil calls it (psutil.STATUS_...); empty if there is none."""
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return ""


# --- the real commands -------------------------------------------------------------------------------------


def database_url() -> str:
    """Of the database that this test run uses, for its processes."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


def service_environment(sandbox: Sandbox, directory: Path, **variables: str) -> dict[str, str]:
    """For a process of the service: the test's database, the sandbox, the light bot, small pools that do not grow."""
    processes, rooms = variables.get("VOICE_AGENT_POOL_SIZE", "1"), variables.get("DAILY_ROOM_POOL_SIZE", "2")
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(directory / "data"),
        "DAILY_API_URL": sandbox.api_url,
        "DAILY_API_KEY": sandbox.api_key,
        "VOICE_AGENT_BOT": LIGHT_BOT,
        "VOICE_AGENT_POOL_SIZE": processes,
        "VOICE_AGENT_MAX_POOL_SIZE": processes,
        "DAILY_ROOM_POOL_SIZE": rooms,
        "DAILY_ROOM_MAX_POOL_SIZE": rooms,
        "RUNPOOLS_HEALTH_PORT": "0",
        "LOG_FORMAT": "text",
        **variables,
    }


class Program:
    """A process of the service, with everything that it and its agents have written."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.arguments = arguments
        self._log = log
        self._offspring: set[int] = set()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                arguments,
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, text: str) -> Callable[[], bool]:
        """A condition: it has written this."""
        return lambda: text in self.output()

    def descendants(self) -> set[int]:
        """Remembered, so that those who outlive it are ended with the test."""
        now = {child.pid for child in descendants(self.pid)}
        self._offspring |= now
        return now

    def signal(self, number: int) -> None:
        self.descendants()
        self.process.send_signal(number)

    def kill(self) -> None:
        """As by the kernel when memory is short: no last words."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def wait(self, deadline: float = DEADLINE) -> int:
        """Its exit code."""
        return self.process.wait(deadline)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for pid in filter(is_running, self._offspring):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, self._offspring)))
        sys.stderr.write(f"--- {' '.join(self.arguments[1:])}\n{self.output()}")  # shown if the test fails


@contextmanager
def running_runpools(sandbox: Sandbox, directory: Path, *arguments: str, **variables: str) -> Iterator[Program]:
    """`manage.py runpools ARGUMENTS` with VARIABLES in its environment; killed at the end unless it has ended."""
    environment = service_environment(sandbox, directory, **variables)
    log = directory / f"runpools-{uuid.uuid4().hex[:6]}.log"
    program = Program([sys.executable, "manage.py", "runpools", *arguments], environment, log)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def running_gunicorn(sandbox: Sandbox, directory: Path, **variables: str) -> Iterator[tuple[Program, str]]:
    """gunicorn with its own configuration file, on a free port unless PORT is given; the program and its base URL, once
    it answers."""
    port = variables.get("PORT") or str(free_port())
    environment = service_environment(sandbox, directory, **variables) | {"PORT": port, "WEB_CONCURRENCY": "1"}
    arguments = [sys.executable, "-m", "gunicorn"]
    program = Program(arguments, environment, directory / "gunicorn.log")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: program.process.poll() is not None or answers(f"{url}/health"), DEADLINE)
        yield program, url
    finally:
        program.end()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
