"""The service in tests: supervisors that the test itself drives, and the calls that they serve.

    def test_both_pools_are_filled(pods):
        pod = pods.start(agent_target=2, room_target=3)         # a Supervisor in this process, not yet turned
        run_until(pod, lambda: AgentProcess.objects.available().count() == 2)

They have real agent processes, the real database and the Daily sandbox. Whatever a test starts ends with it, and a
process that is left over fails the test. For the real commands see programs.py.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from breezebuddy.management.commands.runpools import listener_parameters
from devtools.processes import children
from leads.connect import Connected, connect
from leads.models import Lead
from pools.agent.launcher import AgentConfig, agent_environment
from pools.daily.account import daily_client
from pools.daily.client import DailyClient
from pools.models import AgentProcess, Room, SessionStatus, VoiceSession
from pools.supervisor.loop import Supervisor
from pools.supervisor_config import SupervisorConfig
from tests.support.daily_sandbox import Sandbox
from tests.support.make import make_lead
from tests.support.waiting import wait_until

PROJECT = Path(__file__).resolve().parent.parent.parent
BOTS = PROJECT / "tests" / "bots"
LIGHT_BOT = "pools.agent.bots.light"
DEADLINE = 45.0
TURN_S = 0.02

T = TypeVar("T")

# --- supervisors in this process ---------------------------------------------------------------------------


def supervisor_config(directory: Path, **values: Any) -> SupervisorConfig:
    """Small pools, the light bot, short patience. `bot`, `bot_dir`, `version` are the agents', the rest the
    supervisor's."""
    agent = AgentConfig(
        bot=values.pop("bot", LIGHT_BOT),
        bot_dir=values.pop("bot_dir", PROJECT),
        project_dir=PROJECT,
        version=values.pop("version", "v1"),
        spool_dir=directory / "spool",
        env=agent_environment(os.environ),
    )
    target, rooms = values.get("agent_target", 2), values.get("room_target", 2)
    defaults = SupervisorConfig(
        pod_name=f"pod-{uuid.uuid4().hex[:8]}",
        host="test-host",
        agent=agent,
        start_method="zygote",
        agent_target=target,
        agent_cap=target,
        room_target=rooms,
        room_cap=rooms,
        max_processes=10,
        warmup_timeout=20,
        join_timeout=8,
        caller_timeout=30,
        phone_timeout=30,
        idle_timeout=30,
        waiting_timeout=10,
        session_limit=120,
        drain_timeout=30,
        sandbox=True,
        room_prefix="bb",
        room_geo="",
        room_dialout=True,
        room_pool_life=3600,
        self_signed_tokens=True,
        database=listener_parameters(),
        poll_interval=0.2,
        heartbeat_interval=0.2,
    )
    return replace(defaults, **values)


class Pods:
    """The supervisors of a test. Each has a name of its own unless it is given one."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self._sandbox = sandbox
        self._directory = directory
        self._running: list[Supervisor] = []
        self._before = children()

    def start(self, **values: Any) -> Supervisor:
        """Registered and listening, but its loop has not turned. `values`: `background_tasks` and those of
        `supervisor_config`."""
        background_tasks = values.pop("background_tasks", ())
        config = supervisor_config(self._directory, **values)
        client = DailyClient(self._sandbox.api_url, self._sandbox.api_key, timeout=(1.0, 1.0))
        pod = Supervisor(config, client, background_tasks=background_tasks)
        pod.start()
        self._running.append(pod)
        return pod

    def start_full(self, **values: Any) -> Supervisor:
        """Both pools are at their targets."""
        pod = self.start(**values)
        run_until(pod, lambda: is_full(pod))
        return pod

    def close(self, pod: Supervisor) -> None:
        """In order, at once. Calls go on without it."""
        self.forget(pod)
        pod.close()

    def forget(self, pod: Supervisor) -> None:
        """It closes itself."""
        self._running.remove(pod)

    def end(self) -> None:
        """Close all and end their calls; fails if one of their processes stays."""
        for pod in list(self._running):
            for agent in pod.agents.busy():
                agent.channel.kill(signal.SIGKILL)
            self.close(pod)
        wait_until(lambda: not _unreaped(children() - self._before))


@pytest.fixture
def pods(transactional_db: None, sandbox: Sandbox, tmp_path: Path, settings: Any) -> Iterator[Pods]:
    """For supervisors in this process, with the sandbox as Daily (for `connect_lead` too)."""
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    daily_client.cache_clear()
    running = Pods(sandbox, tmp_path)
    try:
        yield running
    finally:
        daily_client.cache_clear()
        running.end()


def _unreaped(pids: set[int]) -> set[int]:
    """Those of our children that still run; the others are buried."""
    return {pid for pid in pids if os.waitpid(pid, os.WNOHANG) == (0, 0)}


def run_until(pod: Supervisor, condition: Callable[[], T], deadline: float = DEADLINE) -> T:
    """Turn the supervisor's loop until the condition is true; fail after `deadline` seconds."""
    until = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not so within {deadline:g} s: {getattr(condition, '__name__', condition)}")
        pod.run_once(TURN_S)
    return value


def together(condition: Callable[[], bool], *others: Supervisor) -> Callable[[], bool]:
    """The condition, asked after the loops of the other pods have turned too."""

    def turn_and_ask() -> bool:
        for pod in others:
            pod.run_once(0)
        return condition()

    return turn_and_ask


def is_full(pod: Supervisor) -> bool:
    row = pod.pod
    return (
        AgentProcess.objects.available().filter(pod=row).count() == row.agent_target
        and Room.objects.available().filter(pod=row).count() == row.room_target
    )


# --- sessions ----------------------------------------------------------------------------------------------


class Call:
    """A lead that has connected, as its caller sees it; `session` and `lead` are read anew each time."""

    def __init__(self, sandbox: Sandbox, connected: Connected) -> None:
        self.connected = connected
        self.room_name = connected.room_url.rpartition("/")[2]
        self._sandbox = sandbox

    @property
    def session(self) -> VoiceSession:
        return VoiceSession.objects.select_related("room", "agent_process").get(uuid=self.connected.session_id)

    @property
    def lead(self) -> Lead:
        return Lead.objects.get(uuid=self.connected.lead_id)

    @property
    def status(self) -> str:
        return self.session.status

    @property
    def process(self) -> AgentProcess:
        process = self.session.agent_process
        assert process is not None
        return process

    @property
    def pid(self) -> int:
        """Of its agent process."""
        return pid_of(self.process)

    def is_active(self) -> bool:
        return self.status == SessionStatus.ACTIVE

    def bot_has_joined(self) -> bool:
        return self.session.bot_joined_at is not None

    def caller_has_joined(self) -> bool:
        return self.session.caller_joined_at is not None

    def is_over(self) -> bool:
        return self.status == SessionStatus.ENDED

    def join(self) -> str:
        """The caller enters the room; the participant's id."""
        return self._sandbox.join(self.room_name, self.connected.token)

    def leave(self, caller: str) -> None:
        self._sandbox.leave(self.room_name, caller)

    def hang_up(self) -> None:
        """Whoever came last leaves: the caller, when the bot is there."""
        self.leave(self._sandbox.participants(self.room_name)[-1]["id"])

    def people(self) -> list[str]:
        """Names of those in the room."""
        return [person["user_name"] for person in self._sandbox.participants(self.room_name)]


def connect_lead(sandbox: Sandbox, lead: Lead | None = None) -> Call:
    """Push and connect, without HTTP. Raises what leads.connect raises."""
    lead = lead or make_lead()
    return Call(sandbox, connect(lead_uuid=lead.uuid, leads=Lead.objects.all(), holder="test"))


def call_in_progress(pod: Supervisor, sandbox: Sandbox) -> Call:
    """Bot and caller are in the room."""
    call = connect_lead(sandbox)
    run_until(pod, call.bot_has_joined)
    call.join()
    run_until(pod, call.caller_has_joined)
    return call


def pid_of(process: AgentProcess) -> int:
    assert process.os_pid is not None
    return process.os_pid


def available_pids() -> list[int]:
    return [pid_of(process) for process in AgentProcess.objects.available()]
