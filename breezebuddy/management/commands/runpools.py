"""`manage.py runpools` reads arguments and settings, puts a Supervisor together and runs it."""

import logging
import os
import resource
import socket
import time
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection
from django.urls import reverse
from psycopg import errors as postgres

from breezebuddy.health import readiness
from common.database import DATABASE_AWAY
from common.postgresql.connection import ImpatientConnection
from common.secrecy import forget_secrets
from leads.telephony.dialler import Dialler
from leads.telephony.dialling import DiallingConfig
from leads.telephony.dialling_plan import Reserve
from leads.webhooks.sender import SenderConfig, WebhookSender
from pools.agent.environment import find_env_file, names_for_bots, read_env_file, withheld_names
from pools.agent.launcher import AgentConfig, agent_environment
from pools.daily.account import daily_client
from pools.logs import log_format
from pools.models import Pod
from pools.supervisor.background_tasks import BackgroundTask
from pools.supervisor.loop import Supervisor
from pools.supervisor.pod_identity import PodNameTaken
from pools.supervisor.probes import PodGauges, Probes
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)
events = logging.getLogger("pools.events")

RETRY_S = 2.0
DATABASE_ANSWER_S = 5.0
UNMIGRATED = (postgres.UndefinedTable, postgres.UndefinedColumn)
MAX_POD_NAME = Pod._meta.get_field("name").max_length or 0


def stock_size(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        size = -1
    if not 0 <= size <= 10_000:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to 10000")
    return size


def pod_name(text: str) -> str:
    if not 0 < len(text.strip()) <= MAX_POD_NAME:
        raise ArgumentTypeError(f"{text[:40]!r} is not a name of 1 to {MAX_POD_NAME} characters")
    return text.strip()


class Command(BaseCommand):
    help = (
        "Keeps the pools of this pod warm: rooms at Daily and agent processes, which voice sessions claim. Runs until "
        "SIGTERM, which drains the pod (it takes no more sessions and lets calls finish for up to DRAIN_TIMEOUT "
        "seconds), or SIGINT (drains for 5 seconds). A second signal stops at once. "
        "Settings come from the environment, see .env.example."
    )
    requires_system_checks = []  # they need the database, for which the command itself waits

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--processes",
            type=stock_size,
            metavar="N",
            help="how many warm agent processes to keep (overrides VOICE_AGENT_POOL_SIZE; raises the cap if needed)",
        )
        parser.add_argument(
            "--rooms",
            type=stock_size,
            metavar="N",
            help="how many warm rooms to keep (overrides DAILY_ROOM_POOL_SIZE; raises the cap if needed)",
        )
        parser.add_argument(
            "--once", action="store_true", help="repair and reap, fill the room pool, start no agent process, and exit"
        )
        parser.add_argument(
            "--pod-name",
            type=pod_name,
            default=settings.POD_NAME,
            metavar="NAME",
            help="name of this pod, unique among running pods (overrides POD_NAME; default: the host's name)",
        )
        parser.add_argument(
            "--health-port",
            type=int,
            default=settings.RUNPOOLS_HEALTH_PORT,
            metavar="PORT",
            help="port for /health, /health/ready and /metrics (overrides RUNPOOLS_HEALTH_PORT; 0: any free port)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DAILY_API_KEY:
            raise CommandError(
                "DAILY_API_KEY is not set. `make run` uses a sandbox instead of Daily; see .env.example."
            )
        ImpatientConnection.answer_timeout = DATABASE_ANSWER_S
        raise_descriptor_limit()
        config = supervisor_config(options)
        if self._called_from_command_line:  # type: ignore[attr-defined]  # not when a test calls the command
            forget_secrets()  # the settings have read them; no program that we start may inherit one
        for handler in logging.getLogger().handlers:
            handler.setFormatter(log_format.formatter(settings.LOG_FORMAT, {"pod": config.pod_name}))
        gauges = PodGauges()
        probes = self._probes(options["health_port"], gauges)
        background_tasks = background_tasks_of(config, dialling=settings.DIALLING and not options["once"])
        supervisor = Supervisor(config, daily_client(), probes, readiness, gauges, background_tasks)
        self._start(supervisor, probes)
        if options["once"]:
            if not supervisor.run_until_filled():
                raise CommandError(f"the room pool is not full: {supervisor.rooms.trouble or 'Daily was too slow'}")
        else:
            supervisor.run()

    def _probes(self, port: int, gauges: PodGauges) -> Probes:
        try:
            probes = Probes(settings.RUNPOOLS_HEALTH_HOST, port, gauges.exposition, settings.METRICS_TOKEN)
        except (OSError, OverflowError) as error:
            raise CommandError(
                f"port {port} for probes cannot be used ({error}); choose another --health-port"
            ) from None
        logger.info("event=probes_listen port=%d", probes.port)
        return probes

    def _start(self, supervisor: Supervisor, probes: Probes) -> None:
        """Start, and wait as long as the database is away or not migrated. Raises CommandError if the name is taken.

        While it waits, the probe reports the pod alive: a restart would not bring the database back.
        """
        while True:
            try:
                supervisor.start()
            except PodNameTaken as error:
                raise CommandError(str(error)) from None
            except DATABASE_AWAY as error:
                problem = f"The database does not answer ({' '.join(str(error).split())[:200]}); trying again."
            except ProgrammingError as error:
                if not isinstance(error.__cause__, UNMIGRATED):
                    raise
                problem = "The database lacks migrations of this version: waiting for `manage.py migrate`."
            else:
                return
            self.stderr.write(problem)
            probes.turned()
            connection.close()
            time.sleep(RETRY_S)


def supervisor_config(options: dict[str, Any]) -> SupervisorConfig:
    """Build the supervisor's configuration from the command's arguments and the settings. Raises CommandError."""
    agents = settings.VOICE_AGENT_POOL_SIZE if options["processes"] is None else options["processes"]
    rooms = settings.DAILY_ROOM_POOL_SIZE if options["rooms"] is None else options["rooms"]
    if agents > settings.VOICE_AGENT_MAX_PROCESSES:
        raise CommandError(
            f"--processes {agents}: at most VOICE_AGENT_MAX_PROCESSES={settings.VOICE_AGENT_MAX_PROCESSES}"
        )
    if options["once"]:
        agents = 0
    environment = bot_environment()
    return SupervisorConfig(
        pod_name=options["pod_name"],
        host=socket.gethostname(),
        agent=AgentConfig(
            bot=settings.VOICE_AGENT_BOT,
            bot_dir=settings.VOICE_AGENT_BOT_DIR,
            project_dir=settings.BASE_DIR,
            version=settings.VOICE_AGENT_VERSION,
            spool_dir=settings.VOICE_AGENT_SPOOL_DIR,
            env=environment | {"LOG_FORMAT": settings.LOG_FORMAT, "POD_NAME": options["pod_name"]},
        ),
        start_method=settings.VOICE_AGENT_START_METHOD,
        agent_target=agents,
        agent_cap=max(agents, settings.VOICE_AGENT_MAX_POOL_SIZE),
        room_target=rooms,
        room_cap=max(rooms, settings.DAILY_ROOM_MAX_POOL_SIZE),
        max_processes=0 if options["once"] else settings.VOICE_AGENT_MAX_PROCESSES,
        hit_rate=settings.POOL_HIT_RATE,
        warmup_timeout=settings.VOICE_AGENT_WARMUP_TIMEOUT,
        max_idle=settings.VOICE_AGENT_MAX_IDLE,
        afterwork=settings.VOICE_AGENT_AFTERWORK_S,
        memory_limit=settings.VOICE_AGENT_MEMORY_LIMIT,
        join_timeout=settings.BOT_JOIN_TIMEOUT,
        caller_timeout=settings.CALLER_JOIN_TIMEOUT,
        phone_timeout=settings.PHONE_ANSWER_TIMEOUT,
        idle_timeout=settings.AUTOMATIC_SESSION_INACTIVITY_TIMEOUT,
        waiting_timeout=settings.WAITING_SESSION_TIMEOUT,
        session_limit=settings.MAX_DAILY_SESSION_LIMIT,
        drain_timeout=settings.DRAIN_TIMEOUT,
        prejoin=0 if options["once"] else settings.VOICE_AGENT_PREJOIN,
        sandbox=settings.DAILY_IS_SANDBOX,
        room_prefix=settings.DAILY_ROOM_PREFIX,
        room_geo=settings.DAILY_ROOM_GEO,
        room_dialout=settings.DIALLING,
        room_pool_life=settings.DAILY_ROOM_POOL_LIFE,
        retention_days=settings.RETENTION_DAYS,
        self_signed_tokens=settings.DAILY_SELF_SIGNED_TOKENS,
        room_recording=settings.ENABLE_AUTOMATIC_DAILY_RECORDING,
        webhook_url=webhook_url(),
        caller_return_timeout=settings.CALLER_RETURN_TIMEOUT,
        database=listener_parameters(),
    )


def bot_environment() -> dict[str, str]:
    """Return the environment of the bot: what it may see of ours, and its own `.env`. Raises CommandError."""
    changes = settings.VOICE_AGENT_ENV
    withheld = withheld_names(changes)
    try:
        environment = agent_environment(os.environ, names_for_bots(changes), withheld)
    except ValueError as error:
        raise CommandError(str(error)) from None
    path = find_env_file(settings.VOICE_AGENT_BOT, settings.VOICE_AGENT_BOT_DIR, settings.BASE_DIR)
    if path is None:
        return environment
    try:
        own = read_env_file(path, environment, withheld)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{path}, which is for the bot, cannot be read: {type(error).__name__}") from None
    taken, left_out = ", ".join(own.values) or "nothing", ", ".join(own.left_out) or "nothing"
    events.info("event=bot_env_file file=%s taken=%r left_out=%r", path, taken, left_out)
    return {**own.values, **environment}


def background_tasks_of(config: SupervisorConfig, *, dialling: bool) -> list[BackgroundTask]:
    webhooks = WebhookSender(SenderConfig.from_settings())
    return [webhooks, dialler(config)] if dialling else [webhooks]


def webhook_url() -> str:
    """Return the public URL at which Daily delivers its events; empty if webhooks are off or no URL is known."""
    return settings.PUBLIC_URL + reverse("daily-webhook") if settings.PUBLIC_URL and settings.DAILY_WEBHOOKS else ""


def dialler(config: SupervisorConfig) -> Dialler:
    return Dialler(
        daily_client(),
        DiallingConfig(
            reserve=Reserve(settings.WEB_RESERVE_PAIRS, settings.WEB_RESERVE_SLOTS),
            at_once=settings.DAILY_DIAL_LIMIT,
            session_life=timedelta(seconds=config.session_limit),
            caller_id=settings.DAILY_CALLER_ID,
        ),
    )


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files. Each agent process takes two; the usual 1024 is enough for hundreds only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listener_parameters() -> dict[str, Any]:
    """Return libpq's parameters for the LISTEN connection: Django's, without those of psycopg and its pool."""
    others = ("client_encoding", "context", "cursor_factory", "prepare_threshold")
    return {name: value for name, value in connection.get_connection_params().items() if name not in others}
