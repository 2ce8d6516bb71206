"""manage.py rundev: starts everything that development needs, under one foreground command. `make run` calls it."""

import contextlib
import io
import json
import os
import select
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
from django.db import DatabaseError, OperationalError, connection

from breezebuddy import configuration
from common.database import no_database
from common.display import counted
from devtools import dev_secret_key, embedded_postgres, preflight
from devtools.dev_service import DevService, write_dev_file
from devtools.log_follower import LogFollower, tail
from devtools.pool_status import AGENTS, ROOMS, PoolStatus, ready_of
from devtools.processes import Foreground, ProgramEnded, StopRequested
from devtools.sandbox import SANDBOX_API_KEY
from pools.models import AgentProcess, Room
from pools.supervisor.drain import DEVELOPMENT_DRAIN_S

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
        try:
            logs = preflight.make_directories(settings.DATA_DIR)
            os.umask(0o077)  # what we and our programs write from now on is for its owner only
            with preflight.only_run(settings.DATA_DIR, self._say) as lock:
                preflight.check_ports(
                    self._ports(), f"Stop what uses it, or choose another: make run PORT={self.port + 100}"
                )
                if not os.environ.get("SECRET_KEY", "").strip():
                    dev_secret_key.keep(settings.DATA_DIR, settings.SECRET_KEY)
                with self._postgres() as server, Foreground(logs, settings.BASE_DIR, [lock]) as foreground:
                    if server and server.pid:
                        foreground.watch("PostgreSQL", server.pid, server.log)
                    self._run_until_stopped(foreground, began)
        except (preflight.CannotStart, embedded_postgres.EmbeddedPostgresError) as exc:
            raise CommandError(str(exc)) from exc
        except ProgramEnded as exc:
            self._explain(exc)
            raise SystemExit(1) from None
        except (StopRequested, KeyboardInterrupt):
            with contextlib.suppress(StopRequested):
                self._say("Stopped.")

    def _run_until_stopped(self, foreground: Foreground, began: float) -> None:
        try:
            self._run(foreground, began)
        except StopRequested:
            with contextlib.suppress(StopRequested):
                self._say(f"\nStopping; {calls_in_words(calls_going_on())}once more kills at once.")
            raise

    def _run(self, foreground: Foreground, began: float) -> None:
        """Start the programs and wait. Raises ProgramEnded when one ends, StopRequested on Ctrl-C or SIGTERM."""
        if settings.DATABASE_URL:
            self._wait_for_database(foreground)
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        environment = self._environment()
        if self.with_sandbox:
            foreground.start("sandbox", [*manage, "rundailysandbox", "--port", str(self.sandbox_port)], environment)
        call_command("migrate", verbosity=0)
        if self.with_sandbox:
            self._forget_rooms_of_earlier_sandboxes()
            while not _listens(self.sandbox_port):  # the first thing that runpools does is to ask it
                foreground.wait(0.02)
        runpools = foreground.start(
            "runpools", [*manage, "runpools"], environment, stop_signal=signal.SIGINT, patience=20
        )
        gunicorn = foreground.start("gunicorn", [sys.executable, "-m", "gunicorn"], environment, patience=15)
        service = self._seed()
        followers = [LogFollower(runpools.log), LogFollower(gunicorn.log)]
        pools = self._wait_until_ready(foreground, service, followers)
        service.close()
        self._print_table(service, pools, time.monotonic() - began)
        while True:
            self._show_news(followers)
            foreground.wait(0.1)
            if not _is_terminal_open(sys.stdout.fileno()):
                raise StopRequested

    def _say(self, text: str) -> None:
        """Raises StopRequested when the terminal is gone."""
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except OSError:
            raise StopRequested from None

    def _warn(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.stderr.write(text, self.style.NOTICE)

    # --- before the start --------------------------------------------------------------------------------

    def _ports(self) -> dict[int, str]:
        ports = {self.port: "the API", self.health_port: "the health checks of runpools"}
        return ports | {self.sandbox_port: "the Daily sandbox"} if self.with_sandbox else ports

    @contextlib.contextmanager
    def _postgres(self) -> Iterator[embedded_postgres.Server | None]:
        """Run the embedded server, unless DATABASE_URL is set. Stops it afterwards unless another process uses it."""
        if settings.DATABASE_URL:
            self.which_postgres = "the one of DATABASE_URL"
            yield None
            return
        if os.geteuid() == 0:
            self._say("Running as root; PostgreSQL does not, it gets an unprivileged account.")
        server = embedded_postgres.start(settings.DATA_DIR / "postgres")
        self.which_postgres = f"embedded, in {_shown(server.place.home)}, as DATABASE_URL is not set"
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
                    self._warn(f"{message}; trying again until it does")
                    told = message
                foreground.wait(pause)
                pause = min(2 * pause, LONGEST_BACKOFF)
            else:
                connection.close()
                return

    def _forget_rooms_of_earlier_sandboxes(self) -> None:
        """Retire the last run's rooms: the sandbox keeps rooms in memory, so this run's sandbox does not know them."""
        address = self.sandbox_url if settings.DATABASE_URL else "http://127.0.0.1:"
        for room in Room.objects.available().filter(url__startswith=address):
            room.end("sandbox_gone")

    def _environment(self) -> dict[str, str]:
        """Return the environment of the programs. Keys are passed here and never as arguments."""
        environment = os.environ | {
            "DATA_DIR": str(settings.DATA_DIR),
            "PORT": str(self.port),
            "RUNPOOLS_HEALTH_PORT": str(self.health_port),
            "RUNPOOLS_HEALTH_HOST": "127.0.0.1",
            "SECRET_KEY": settings.SECRET_KEY,
            "PYTHONUNBUFFERED": "1",
            "LOG_FORMAT": "text",  # people read it, and we show parts of it
            "TALK_PAGE": "on",
        }
        if self.with_sandbox:
            environment["DAILY_API_KEY"] = SANDBOX_API_KEY
            environment["DAILY_API_URL"] = self.sandbox_url
            environment.setdefault("REPORTING_WEBHOOK_NETWORKS", "127.0.0.0/8")
            environment.setdefault("PUBLIC_URL", f"http://127.0.0.1:{self.port}")  # the sandbox reaches us there
        return environment

    # --- after the start ---------------------------------------------------------------------------------

    def _seed(self) -> DevService:
        """Create the template, the admin and the token, and write dev.json. Keeps the values of an earlier run."""
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
    ) -> PoolStatus:
        slow = time.monotonic() + SLOW_START
        while True:
            pools = PoolStatus.of(service, settings.POD_NAME)
            if self._are_full(pools) or time.monotonic() > slow:
                return pools
            self._show_news(followers)
            foreground.wait(0.1)

    def _print_table(self, service: DevService, pools: PoolStatus, seconds: float) -> None:
        logs = _shown(settings.DATA_DIR / "logs")
        rows = [
            ("API", service.url),
            ("documentation", f"{service.url}/docs"),
            ("admin", f"{service.url}/admin/  (name and password: {_shown(settings.DATA_DIR / 'dev.json')})"),
            ("agent processes", f"{service.url}{AGENTS}  {ready_of(pools.agents)}"),
            ("rooms", f"{service.url}{ROOMS}  {ready_of(pools.rooms)}"),
            ("runpools", f"http://127.0.0.1:{self.health_port}/health/ready"),
            ("Daily", self._which_daily()),
            ("PostgreSQL", self.which_postgres),
            ("logs", f"{logs}/runpools.log, gunicorn.log" + (", sandbox.log" if self.with_sandbox else "")),
        ]
        self._say(f"\n{'Ready' if self._are_full(pools) else 'Started'} after {seconds:.1f} s\n")
        for name, value in rows:
            self._say(f"  {name:<16} {value}")
        self._say("\nIn another terminal: make demo. Sessions are shown here. Ctrl-C stops everything.")
        self._say(f"\nTalk to it: {service.url}/talk\n")
        if not self._are_full(pools):
            self._warn(f"The pools are not full yet: {pools.why_not_full()}\n")

    def _are_full(self, pools: PoolStatus) -> bool:
        return pools.are_full(settings.VOICE_AGENT_POOL_SIZE, settings.DAILY_ROOM_POOL_SIZE)

    def _which_daily(self) -> str:
        if self.with_sandbox:
            return f"sandbox on {self.sandbox_url}, as DAILY_API_KEY is not set"
        return str(settings.DAILY_API_URL)

    def _show_news(self, followers: list[LogFollower]) -> None:
        for follower in followers:
            for line in follower.news():
                self._say(line)

    def _explain(self, ended: ProgramEnded) -> None:
        self._warn(f"{ended}; everything else is stopped. The end of {_shown(ended.log)}:")
        self._warn("\n".join(f"  {line}" for line in tail(ended.log)))


def calls_going_on() -> int:
    """Return the number of calls in progress, or 0 if the database does not answer."""
    try:
        return AgentProcess.objects.in_use().count()
    except DatabaseError:
        return 0
    finally:
        connection.close()


def calls_in_words(calls: int) -> str:
    if not calls:
        return ""
    return f"{counted(calls, 'call')} {'is' if calls == 1 else 'are'} given {DEVELOPMENT_DRAIN_S:g} s; "


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_terminal_open(output: int) -> bool:
    """Tell whether the terminal still exists: the kernel sends SIGHUP to the shell, which may not pass it on."""
    poll = select.poll()
    poll.register(output, 0)
    return not poll.poll(0)


def _shown(path: Path) -> str:
    """Return the path relative to the working directory, if it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
