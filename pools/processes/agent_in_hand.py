"""One agent process as its pod has it in memory, and the session that it has been handed."""

import signal
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from pools.agent.channel import AgentChannel
from pools.decisions import planner
from pools.kernel import process_table
from pools.models import AgentProcess
from pools.protocol import Ended, Message, Ready


@dataclass(eq=False)
class Handoff:
    """A session in the hands of one process, as far as this attempt goes."""

    pk: int
    uuid: str
    attempt: int
    claimed_at: datetime
    before_claim_ms: float = 0.0
    start_kind: str = ""
    outbound: bool = False
    lead: str = ""
    sent: float | None = None  # when Start was written
    started: bool = False
    go: float | None = None  # when Go was written
    joined: bool = False
    news: dict[str, datetime] = field(default_factory=dict)  # columns not yet written
    stop: float | None = None  # when Stop was written
    stop_reason: str = ""
    final: Ended | None = None
    final_since: float = 0.0
    settled: bool = False  # the end is in the database
    unclaimed: bool = False  # a hot pair; the process has not been told of a claim

    def claimed(self, at: datetime) -> None:
        self.unclaimed, self.claimed_at = False, at
        if self.go is not None:
            self.go = time.monotonic()  # a hot pair's session begins here

    def restart_deadlines(self, now: float) -> None:
        if self.sent is not None and not self.started:
            self.sent = now


@dataclass(eq=False)
class Agent:
    """One process of ours. `row.status` is not kept up to date: the claim changes it behind our back."""

    row: AgentProcess
    channel: AgentChannel
    since: float
    forgiven: float = 0.0  # up to then we were late ourselves
    ready: Ready | None = None
    recorded_ready: bool = False
    handoff: Handoff | None = None
    inbox: deque[Message] = field(default_factory=deque)
    verdict: str = ""  # why it was killed or is known to have failed; empty: it ended by itself
    ping_number: int = 0
    ping_sent: float | None = None
    ping_due: float = 0.0

    def __str__(self) -> str:
        return f"agent={self.row.uuid} pid={self.channel.pid}"

    @property
    def warming(self) -> bool:
        return self.ready is None and self.handoff is None and not self.verdict

    @property
    def idle(self) -> bool:
        """As far as we know: a claim may have taken it a moment ago."""
        return self.ready is not None and self.handoff is None and not self.verdict and not self.channel.eof

    @property
    def dead(self) -> bool:
        return self.channel.eof and (self.channel.exited or self.channel.pid is None)

    def hangs(self, silence: float, limit: float) -> bool:
        """It owes an answer for so long, and it is not only that it gets no CPU."""
        pid = self.channel.pid
        starved = silence > limit and pid is not None and process_table.is_starved(pid)
        return planner.hangs(silence, limit, starved=starved)

    def condemn(self, verdict: str, number: int = signal.SIGKILL) -> None:
        """Kill it; the first reason stands."""
        if not self.verdict:
            self.verdict = verdict
        self.channel.kill(number)
