"""Everything a supervisor is told, in one frozen value, built once by `manage.py runpools`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pools.agent.launcher import AgentConfig
from pools.models import REAP_LEASE


@dataclass(frozen=True)
class Timings:
    """How patient a supervisor is, in seconds. They are no settings: only tests have other values."""

    ping_idle: float = 1.0
    pong_idle: float = 2.0
    ping_in_call: float = 20.0
    pong_in_call: float = 20.0
    recycle: float = 10.0  # from one search for worn-out processes to the next
    stopped_zygote: float = 3.0  # without an answer to a fork
    zygote_proven: float = 10.0  # a zygote that dies sooner counts as failed, ready or not
    overtime: float = 15.0  # the agent enforces the session limit itself; this is for one that does not
    stop_now: float = 2.0  # what a call gets to end when its pod stops
    reap_lease: timedelta = REAP_LEASE
    presence: float = 15.0  # Daily's own data is that old


@dataclass(frozen=True)
class SupervisorConfig:
    """Sizes are numbers of rooms or processes of this pod; times are seconds."""

    pod_name: str
    host: str
    agent: AgentConfig
    start_method: str
    agent_target: int
    agent_cap: int
    room_target: int
    room_cap: int
    max_processes: int
    warmup_timeout: float
    join_timeout: float
    caller_timeout: float
    phone_timeout: float
    idle_timeout: float
    waiting_timeout: float
    session_limit: int
    drain_timeout: float
    sandbox: bool  # rooms are made by a sandbox in place of Daily
    room_prefix: str
    room_geo: str
    room_dialout: bool
    room_pool_life: int
    self_signed_tokens: bool
    database: Mapping[str, Any] = field(repr=False)  # psycopg's connection parameters
    room_recording: bool = False
    prejoin: int = 0  # pre-joined pairs to keep
    webhook_url: str = ""  # where Daily is to send its events; empty: nowhere
    caller_return_timeout: float = 20.0
    hit_rate: float = 0.999  # share of sessions that are to find a warm pair, where the size may follow demand
    max_idle: float = 3600.0
    afterwork: float = 5.0  # for a bot, after the end of its session
    memory_limit: int = 256  # MiB of its own that an idle process may have; 0: any
    retention_days: int = 30  # 0: for ever
    poll_interval: float = 1.0
    heartbeat_interval: float = 1.0
    timings: Timings = Timings()

    @property
    def room_life(self) -> int:
        """From its making to its expiry at Daily: the time in the pool and a session after that."""
        return self.room_pool_life + self.session_limit
