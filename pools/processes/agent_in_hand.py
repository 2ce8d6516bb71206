"""One agent process as its pod has it in memory, and the session that it has been handed."""

import signal
from dataclasses import dataclass

from pools.agent.channel import AgentChannel
from pools.decisions import planner
from pools.kernel import process_table
from pools.models import AgentProcess
from pools.processes.handoff_state import Handoff
from pools.protocol import Ready


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
    verdict: str = ""  # why it was killed or is known to have failed; empty: it ended by itself
    ping_number: int = 0
    ping_sent: float | None = None
    ping_due: float = 0.0
    memory_due: float = 0.0
    private_bytes: int = 0  # as it last reported; 0: not yet

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
