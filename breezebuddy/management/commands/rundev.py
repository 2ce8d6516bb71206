"""manage.py rundev: everything that development needs, under one foreground command. `make run` calls it."""

import contextlib
import fcntl
import io
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from breezebuddy import configuration, embedded_postgres
from breezebuddy.command_line import no_database
from breezebuddy.dev_service import DevService, write_dev_file
from breezebuddy.log_follower import LogFollower, tail
from breezebuddy.pool_levels import AGENTS, ROOMS, PoolLevels, level
from breezebuddy.processes import Foreground, ProgramEnded, StopRequested
from pools.models import Room
from pools.sandbox import SANDBOX_API_KEY

LEFTOVERS_DEADLINE = 30.0  # seconds for the programs of a run that was killed to end
SLOW_START = 20.0  # seconds after which we say why the pools are not ready
LONGEST_BACKOFF = 10.0


class Command(BaseCommand):
    help = (
        "Start everything for development: PostgreSQL (unless DATABASE_URL is set), the Daily sandbox (unless "
        "DAILY_API_KEY is set), runpools and gunicorn on 127.0.0.1:PORT (default 8000). Applies migrations, makes the "
        "template `demo` and an admin, and writes how to log in to .data/dev.json. Ctrl-C stops everything."
    )
    requires_system_checks: list[str] = []  # the programs that it starts do them, in their environment

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        self.port = configuration.whole_number("PORT", 8000, minimum=1, maximum=65_533)
        self.health_port = configuration.whole_number("RUNPOOLS_HEALTH_PORT", self.port + 1, minimum=1, maximum=65_535)
        self.sandbox_port = self.port + 2
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.with_sandbox = not settings.DAILY_API_KEY
        logs = self._make_directories()
        try:
            with self._only_run() as lock, self._postgres() as server:
                self._check_ports()
                with Foreground(logs, settings.BASE_DIR, [lock]) as foreground:
                    if server and server.pid:
                        foreground.watch("PostgreSQL", server.pid, server.log)
                    try:
                        self._run(foreground, began)
                    except StopRequested:
                        self.stdout.write("\nStopping; once more kills at once.")
                        raise
        except embedded_postgres.EmbeddedPostgresError as exc:
            raise CommandError(str(exc)) from exc
        except ProgramEnded as exc:
            self._explain(exc)
            raise SystemExit(1) from None
        except (StopRequested, KeyboardInterrupt):
            self.stdout.write("Stopped.")

    def _run(self, foreground: Foreground, began: float) -> None:
        """Start the programs and stay until one ends (ProgramEnded) or somebody asks (StopRequested)."""
        if settings.DATABASE_URL:
            self._wait_for_database(foreground)
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        environment = self._environment()
        if self.with_sandbox:
            foreground.start("sandbox", [*manage, "rundailysandbox", "--port", str(self.sandbox_port)], environment)
        call_command("migrate", verbosity=0)
        self._forget_rooms_of_earlier_sandboxes()
        runpools = foreground.start(
            "runpools", [*manage, "runpools"], environment, stop_signal=signal.SIGINT, patience=20
        )
        gunicorn = foreground.start("gunicorn", [sys.executable, "-m", "gunicorn"], environment, patience=15)
        service = self._seed()
        followers = [LogFollower(runpools.log), LogFollower(gunicorn.log)]
        levels = self._wait_until_ready(foreground, service, followers)
        service.close()
        self._print_table(service, levels, time.monotonic() - began)
        while True:
            self._show_news(followers)
            foreground.wait(0.1)

    # --- before the start --------------------------------------------------------------------------------

    def _make_directories(self) -> Path:
        logs: Path = settings.DATA_DIR / "logs"
        try:
            logs.mkdir(parents=True, exist_ok=True)
            (settings.DATA_DIR / "run.lock").touch(mode=0o600)
        except OSError as exc:
            raise CommandError(
                f"{exc.filename} is not writable ({exc.strerror}): fix that, or set DATA_DIR to another directory"
            ) from exc
        return logs

    @contextlib.contextmanager
    def _only_run(self) -> Iterator[int]:
        """One run per data directory. The programs inherit the lock: it is free when the last of them is gone."""
        with open(settings.DATA_DIR / "run.lock", "r+") as lock:
            deadline = time.monotonic() + LEFTOVERS_DEADLINE
            told = False
            while not _try_lock(lock.fileno()):
                lock.seek(0)
                holder = lock.read().strip()
                if _is_rundev(holder) or time.monotonic() > deadline:
                    raise CommandError(
                        f"`make run` runs already in {settings.DATA_DIR} (pid {holder or 'unknown'}): stop that one, "
                        "or give this one a DATA_DIR and a PORT of its own"
                    )
                if not told:
                    self.stdout.write(f"Waiting for the programs of a run that was killed (pid {holder})")
                    told = True
                time.sleep(0.1)
            lock.seek(0)
            lock.truncate()
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield lock.fileno()

    def _check_ports(self) -> None:
        for port, user in self._ports().items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as exc:
                    raise CommandError(
                        f"port {port} (for {user}) cannot be used: {exc.strerror}. "
                        f"Stop what uses it, or choose another: make run PORT={self.port + 100}"
                    ) from exc

    def _ports(self) -> dict[int, str]:
        ports = {self.port: "the API", self.health_port: "the health checks of runpools"}
        return ports | {self.sandbox_port: "the Daily sandbox"} if self.with_sandbox else ports

    @contextlib.contextmanager
    def _postgres(self) -> Iterator[embedded_postgres.Server | None]:
        """The embedded server, stopped afterwards unless somebody else uses it; none with DATABASE_URL."""
        if settings.DATABASE_URL:
            yield None
            return
        if os.geteuid() == 0:
            self.stdout.write("Running as root; PostgreSQL does not, it gets an unprivileged account.")
        server = embedded_postgres.start(settings.DATA_DIR / "postgres")
        self.postgres_home = server.place.home
        # The settings were read before the first start could say that its files must lie elsewhere.
        connection.settings_dict.update(configuration.env.db_url_config(server.url))
        try:
            yield server
        finally:
            server.stop()

    def _wait_for_database(self, foreground: Foreground) -> None:
        told, pause = "", 0.5
        while True:
            try:
                connection.ensure_connection()
            except OperationalError as exc:
                message = no_database(exc)
                if message != told:
                    self.stderr.write(f"{message}; trying again until it does")
                    told = message
                foreground.wait(pause)
                pause = min(2 * pause, LONGEST_BACKOFF)
            else:
                connection.close()
                return

    def _forget_rooms_of_earlier_sandboxes(self) -> None:
        """A sandbox keeps its rooms in memory; warm ones of the last run would fail the first calls of this one."""
        address = self.sandbox_url if settings.DATABASE_URL else "http://127.0.0.1:"
        for room in Room.objects.available().filter(url__startswith=address):
            room.end("sandbox_gone")

    def _environment(self) -> dict[str, str]:
        """Ours, and what the programs must agree on. Keys travel here, never as arguments."""
        environment = os.environ | {
            "DATA_DIR": str(settings.DATA_DIR),
            "PORT": str(self.port),
            "RUNPOOLS_HEALTH_PORT": str(self.health_port),
            "SECRET_KEY": os.environ.get("SECRET_KEY", "").strip() or secrets.token_urlsafe(48),
            "PYTHONUNBUFFERED": "1",
        }
        if self.with_sandbox:
            environment["DAILY_API_KEY"] = SANDBOX_API_KEY
            environment["DAILY_API_URL"] = self.sandbox_url
        return environment

    # --- after the start ---------------------------------------------------------------------------------

    def _seed(self) -> DevService:
        """Make what a developer needs in the database and write it to dev.json; an earlier run's values are kept."""
        file = settings.DATA_DIR / "dev.json"
        answer = io.StringIO()
        # force: with DATABASE_URL too, whoever says `make run` wants a development database.
        call_command("seeddemo", earlier=file, force=True, stdout=answer)
        connection.close()
        values = json.loads(answer.getvalue())
        values["base_url"] = f"http://127.0.0.1:{self.port}"
        if self.with_sandbox:
            values["sandbox_url"] = self.sandbox_url
        write_dev_file(file, values)
        return DevService(values["base_url"], values["token"])

    def _wait_until_ready(
        self, foreground: Foreground, service: DevService, followers: list[LogFollower]
    ) -> PoolLevels:
        slow = time.monotonic() + SLOW_START
        while True:
            levels = PoolLevels.of(service, settings.POD_NAME)
            if levels.are_full(settings.VOICE_AGENT_POOL_SIZE, settings.DAILY_ROOM_POOL_SIZE):
                return levels
            if time.monotonic() > slow:
                self.stderr.write(f"The pools are not full yet: {levels.why_not_full()}")
                return levels
            self._show_news(followers)
            foreground.wait(0.1)

    def _print_table(self, service: DevService, levels: PoolLevels, seconds: float) -> None:
        logs = _shown(settings.DATA_DIR / "logs")
        rows = [
            ("API", service.url),
            ("documentation", f"{service.url}/docs"),
            ("admin", f"{service.url}/admin/  (name and password: {_shown(settings.DATA_DIR / 'dev.json')})"),
            ("agent processes", f"{service.url}{AGENTS}  {level(levels.agents)}"),
            ("rooms", f"{service.url}{ROOMS}  {level(levels.rooms)}"),
            ("runpools", f"http://127.0.0.1:{self.health_port}/health/ready"),
            ("Daily", f"sandbox on {self.sandbox_url}, as DAILY_API_KEY is not set"),
            ("PostgreSQL", f"embedded, in {_shown(self.postgres_home)}, as DATABASE_URL is not set"),
            ("logs", f"{logs}/runpools.log, gunicorn.log, sandbox.log"),
        ]
        if not self.with_sandbox:
            rows[6] = ("Daily", settings.DAILY_API_URL)
        if settings.DATABASE_URL:
            rows[7] = ("PostgreSQL", "the one of DATABASE_URL")
        self.stdout.write(f"\nReady after {seconds:.1f} s\n")
        for name, value in rows:
            self.stdout.write(f"  {name:<16} {value}")
        self.stdout.write(
            "\nTry it in another terminal: make demo. Sessions are shown here. Ctrl-C stops everything.\n\n"
        )

    def _show_news(self, followers: list[LogFollower]) -> None:
        for follower in followers:
            for line in follower.news():
                self.stdout.write(line)

    def _explain(self, ended: ProgramEnded) -> None:
        self.stderr.write(f"{ended}; everything else is stopped. The end of {_shown(ended.log)}:")
        for line in tail(ended.log):
            self.stderr.write(f"  {line}")


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_rundev(pid: str) -> bool:
    try:
        return b"rundev" in Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def _shown(path: Path) -> str:
    """Short, if it lies where we are."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
