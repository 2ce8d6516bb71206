"""The private service of a trial: PostgreSQL, the Daily sandbox, gunicorn, and `runpools` in the sizes asked for.

All of it lies in a temporary directory, listens on free ports of 127.0.0.1, and ends with the trial. What waits here
also raises StopRequested at Ctrl-C, and ProgramEnded when a program ends that should run.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from devtools import embedded_postgres
from devtools.processes import Foreground, Program
from pools.agent.launcher import AgentConfig, agent_environment
from trials.client import Api, Sandbox
from trials.console import say
from trials.rows import Rows

T = TypeVar("T")
AnyWorld = TypeVar("AnyWorld", bound="World")

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / ".data"  # where runs lie, and what they have measured
LIGHT_BOT = "pools.agent.bots.light"  # for rates of starts at which no machine of ours could hold the calls
WORKERS, THREADS = 2, 8  # of gunicorn
START_S = 60.0
STOP_S = 10.0
IDLE_S = 5
LOCAL_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)


class DidNotHappen(Exception):
    """An expected event did not happen before its deadline."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a pod: warm processes, warm rooms, the start method of agents, and the limit of all its processes."""

    processes: int
    rooms: int
    start_method: str = "zygote"
    max_processes: int = 20
    prejoined: int = 0  # pairs whose bot has joined


class World:
    """The running service. `rows` reads the database; `api()` returns a new client of the HTTP API."""

    VARIABLES: ClassVar[Mapping[str, str]] = {}  # of every program of this kind of world
    postgres: embedded_postgres.Server
    rows: Rows
    sandbox: Sandbox

    def __init__(self, foreground: Foreground, environment: dict[str, str], directory: Path) -> None:
        self._foreground = foreground
        self._environment = environment
        self._api_address = ("127.0.0.1", 0)
        self._token = ""
        self.admin = ("", "")  # name and password
        self.directory = directory

    # --- its life -----------------------------------------------------------------------------------------

    @contextmanager
    def running(self, postgres: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Run everything but pods until the block ends."""
        self.start_postgres(postgres)
        try:
            with Rows(self.postgres.url) as self.rows, Sandbox(self._environment["DAILY_API_KEY"]) as self.sandbox:
                self.begin()
                try:
                    yield self
                finally:
                    self.end()
        finally:
            self._foreground.stop()
            self.postgres.stop()

    def start_postgres(self, settings: Mapping[str, str] | None = None) -> None:
        self.postgres = embedded_postgres.start(self.directory / "postgres", settings)
        self._environment["DATABASE_URL"] = self.postgres.url

    def begin(self) -> None:
        """Start the sandbox and the API; PostgreSQL runs already."""
        self.serve_daily()
        self.serve_api()

    def end(self) -> None:
        """End what `begin` has started besides programs."""

    # --- what is running ----------------------------------------------------------------------------------

    def api(self) -> Api:
        return Api(*self._api_address, self._token)

    @property
    def url(self) -> str:
        host, port = self._api_address
        return f"http://{host}:{port}"

    @property
    def token(self) -> str:
        """The token of an admin of the API."""
        return self._token

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every program of this world."""
        return dict(self._environment)

    @property
    def agent_config(self) -> AgentConfig:
        """The configuration of the default bot's agents, as `runpools` builds it."""
        return AgentConfig(
            bot="pools.agent.bots.default",
            bot_dir=ROOT,
            project_dir=ROOT,
            spool_dir=self.directory / "spool",
            env={**agent_environment(self._environment), "LOGURU_LEVEL": "WARNING"},  # they log to our own stderr
        )

    # --- waiting ------------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Wait. Raises ProgramEnded and StopRequested."""
        self._foreground.wait(seconds)

    def wait_for(self, what: str, condition: Callable[[], T], deadline: float = 30.0, step: float = 0.02) -> T:
        """Poll `condition()` every `step` seconds; return its first true value. Raises DidNotHappen, and as `pause`."""
        until = time.monotonic() + deadline
        while not (value := condition()):
            if time.monotonic() > until:
                raise DidNotHappen(f"{what}: not within {deadline:g} s")
            self.pause(step)
        return value

    # --- programs -----------------------------------------------------------------------------------------

    def serve_api(self) -> None:
        """Migrate and seed the database, then start gunicorn as in production."""
        self.manage("migrate", "--verbosity=0")
        seeded = json.loads(self.manage("seeddemo", "--force"))
        self._token, self.admin = seeded["token"], (seeded["admin_user"], seeded["admin_password"])
        self._start_gunicorn()

    @contextmanager
    def other_api(self, **variables: str) -> Iterator[None]:
        """Start another gunicorn with these variables; until the block ends, `api()` returns clients of it."""
        address = self._api_address
        program = self._start_gunicorn(**variables)
        try:
            yield
        finally:
            self._api_address = address
            self._end(program)

    def _start_gunicorn(self, **variables: str) -> Program:
        environment = {
            **self._environment,
            "PORT": "0",
            "WEB_CONCURRENCY": str(WORKERS),
            "WEB_THREADS": str(THREADS),
            "DATABASE_POOL_SIZE": str(THREADS),
            **variables,
        }
        command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
        name = "gunicorn-other" if variables else "gunicorn"
        program = self._foreground.start(name, command, environment)
        host, port = self._announced(program, r"Listening at: http://([\d.]+):(\d+)")
        self._api_address = (host, int(port))
        self.wait_for("gunicorn ready", self._answers, START_S)
        return program

    def _answers(self) -> bool:
        """Tell whether every worker is connected to the database, which it is before it serves."""
        with self.api() as api:
            return api.is_ready() and self.rows.connections() > WORKERS

    def manage(self, *arguments: str) -> str:
        """Run a management command and return its standard output."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True)
        self.pause(0)
        if done.returncode:
            raise DidNotHappen(f"manage.py {arguments[0]}: {done.stderr[-500:]}")
        return done.stdout

    @contextmanager
    def pod(self, sizes: Sizes, **variables: str) -> Iterator[None]:
        """Run `runpools` with these sizes and variables until the block ends, and wait until its pools are full."""
        self.rows.retire_stock()
        environment = {
            **self._environment,
            "VOICE_AGENT_POOL_SIZE": str(sizes.processes),
            "VOICE_AGENT_MAX_POOL_SIZE": str(sizes.processes),
            "VOICE_AGENT_MAX_PROCESSES": str(sizes.max_processes),
            "DAILY_ROOM_POOL_SIZE": str(sizes.rooms),
            "DAILY_ROOM_MAX_POOL_SIZE": str(sizes.rooms),
            "VOICE_AGENT_START_METHOD": sizes.start_method,
            "VOICE_AGENT_PREJOIN": str(sizes.prejoined),
            **variables,
        }
        program = self._foreground.start(
            "runpools", [sys.executable, str(ROOT / "manage.py"), "runpools"], environment, patience=STOP_S
        )
        try:
            if sizes.start_method == "zygote":
                self._announced(program, r"event=(zygote_ready)")
            self.wait_until_settled(sizes, START_S)
            yield
        finally:
            self._end(program)

    def _end(self, program: Program) -> None:
        """End a program with SIGTERM, then SIGKILL. Its orphans end with the world."""
        self._foreground.programs.remove(program)
        os.close(program.pidfd)
        if program.process is None:
            return
        program.process.send_signal(program.stop_signal)  # nothing, if it has ended and been reaped
        try:
            program.process.wait(program.patience)
        except subprocess.TimeoutExpired:
            program.signal_all(signal.SIGKILL)
            program.process.wait()

    def last_words(self, lines: int) -> list[str]:
        """Return the last lines that `runpools` and its agents have logged."""
        log = self.directory / "runpools.log"
        return log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []

    def wait_until_settled(self, sizes: Sizes, deadline: float = 60.0) -> None:
        """Wait until nothing is in use and the pools are full."""
        self.wait_for(
            "full pools", lambda: self.rows.settled(sizes.processes, sizes.rooms, sizes.prejoined), deadline, step=0.03
        )

    def _announced(self, program: Program, pattern: str) -> tuple[str, ...]:
        """Wait until a program's log matches a pattern, and return the groups of the match."""

        def said() -> tuple[str, ...]:
            found = re.search(pattern, program.log.read_text(errors="replace"))
            return found.groups() if found else ()

        return self.wait_for(f"{program.name} started", said, START_S)

    def serve_daily(self) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), "rundailysandbox", "--port=0"]
        program = self._foreground.start("sandbox", command, self._environment)
        (url,) = self._announced(program, r"listening on (http://\S+)")
        self._environment["DAILY_API_URL"] = url
        self.sandbox.url = url


@contextmanager
def private_world(
    kind: type[AnyWorld],
    variables: Mapping[str, str] | None = None,
    *,
    postgres: Mapping[str, str] | None = None,
    parent: Path = DATA_DIR,
    keep: Path | None = None,
) -> Iterator[AnyWorld]:
    """A world of this kind in a new directory of `parent`, until the block ends.

    `variables` are in the environment of every program. `postgres`: settings of the server. `keep`: the directory to
    which the programs' logs are copied at the end.
    """
    say("bringing up PostgreSQL, the Daily sandbox and gunicorn")
    with private_directory(parent) as directory, Foreground(directory, ROOT) as foreground:
        environment = {**service_environment(directory), **kind.VARIABLES, **(variables or {})}
        try:
            with kind(foreground, environment, directory).running(postgres) as world:
                yield world
        finally:
            _keep_logs(directory, keep)


def _keep_logs(directory: Path, kept: Path | None) -> None:
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        for log in directory.glob("*.log*"):
            shutil.copyfile(log, kept / log.name)


@contextmanager
def private_directory(parent: Path) -> Iterator[Path]:
    """Create a directory and remove it after the block. Not in /tmp, which may be memory, where fsync costs nothing."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = Path(tempfile.mkdtemp(prefix="trial-", dir=parent))
    try:
        yield directory
    finally:
        embedded_postgres.remove(directory / "postgres")
        shutil.rmtree(directory, ignore_errors=True)


def service_environment(directory: Path) -> dict[str, str]:
    """Return the environment of every program, without the variables of this shell or of a developer's .env."""
    local = ROOT / ".env"
    blank = LOCAL_NAME.findall(local.read_text(errors="replace")) if local.is_file() else []
    return {
        **dict.fromkeys(blank, ""),  # counts as unset, and the file does not fill it
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        "DATA_DIR": str(directory),
        "SECRET_KEY": secrets.token_urlsafe(32),
        "DAILY_API_KEY": (key := secrets.token_hex(32)),
        "DAILY_SANDBOX_API_KEY": key,
        "POD_NAME": "bench",
        "RUNPOOLS_HEALTH_PORT": "0",
        "DRAIN_TIMEOUT": "1",
        "AUTOMATIC_SESSION_INACTIVITY_TIMEOUT": str(IDLE_S),  # a caller who was gone before the bot looked
    }
