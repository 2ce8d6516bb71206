"""The agent processes of one pod: started, kept at their target, recycled, ended, removed.

Messages and deaths only change memory (`Agent`); rows follow in steps that can be repeated, so that a database that
is away loses nothing. The rows of these processes are written by this pod alone, except for the claim
(available -> in_use) and for other pods' reapers when this pod has been silent too long.
"""

import logging
import signal
from collections.abc import Iterator
from dataclasses import replace

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from pools.agent.launcher import ZygoteUnavailable, spawn
from pools.decisions import planner
from pools.decisions.demand import TimeToReplace
from pools.decisions.targets import CONFIGURED, Target
from pools.kernel import process_table
from pools.metrics.pod import FAILURES, WARMUP_SECONDS
from pools.models import AgentProcess, Pod, SessionStatus, StockStatus
from pools.processes.agent_in_hand import Agent
from pools.processes.pings import Pings
from pools.processes.zygote_keeper import ZygoteKeeper
from pools.protocol import (
    CallerJoined,
    Ended,
    FirstAudio,
    ForkRefused,
    Joined,
    Message,
    Pong,
    ProtocolError,
    Ready,
    Started,
    Stop,
    WarmupFailed,
)
from pools.sessions import counters
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

DRAINED = "pod drained"
STOPPED = "pod stopped"
SURPLUS = "above the target"
PLANNED_ENDS = (DRAINED, STOPPED, "recycled", SURPLUS)

HUNG_ZYGOTE_S = 20.0  # without an answer to a fork; an overloaded one is only slow
FIRST_GUESS_S = 0.2  # to replace one: a fork; learned from the first on
EARLY_DEATHS = 5  # so many in a row, right after Ready, are a bot that does not work; fewer may be anybody's doing


class AgentPool:
    """All processes of a pod, in memory; `agents` by their row's primary key."""

    def __init__(self, config: SupervisorConfig, pod: Pod) -> None:
        self._config = config
        self._agent_config = replace(config.agent, pod=str(pod.uuid))
        self._pod = pod
        self.target = Target(config.agent_target, CONFIGURED)
        self.time_to_replace = TimeToReplace(FIRST_GUESS_S)
        self.agents: dict[int, Agent] = {}
        self.pings = Pings(config, self.agents)
        self.zygote = ZygoteKeeper(self._agent_config, config)
        self.backoff = planner.Backoff(base=2.0, ceiling=60.0, steady=True)
        self.trouble = ""
        self._recycle_due = 0.0
        self._early_deaths = 0
        self.orphans = 0  # calls of this host that have outlived their supervisor

    # --- counts -------------------------------------------------------------------------------------------

    @property
    def warming(self) -> int:
        return sum(agent.warming for agent in self.agents.values())

    @property
    def available(self) -> int:
        return sum(agent.idle for agent in self.agents.values())

    @property
    def alive(self) -> int:
        """All that count against VOICE_AGENT_MAX_PROCESSES."""
        return len(self.agents) + self.orphans

    @property
    def busy_slots(self) -> int:
        """Processes that are neither in stock nor about to be."""
        return self.alive - self.warming - self.available

    @property
    def free_slots(self) -> int:
        return max(0, self._config.max_processes - self.alive)

    def is_steady(self, now: float) -> bool:
        """The stock is as it should be, or cannot be now, and nothing is on its way in or out."""
        others = len(self.agents) - self.available - len(self.busy())
        enough = self.available == self.target.size or (self.available < self.target.size and not self.can_start(now))
        return enough and not (others or self.target.paused)

    def busy(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if agent.handoff]

    def idle_bytes(self) -> int:
        """Memory of an idle process, as one of them reported; 0: none has yet."""
        return next((agent.private_bytes for agent in self.agents.values() if agent.idle and agent.private_bytes), 0)

    def private_bytes(self) -> dict[int, int]:
        """Memory by pid, as the processes themselves reported."""
        reported = [(agent.channel.pid, agent.private_bytes) for agent in self.agents.values()]
        reported.append((self.zygote.pid, self.zygote.private_bytes))
        return {pid: number for pid, number in reported if pid and number}

    # --- start --------------------------------------------------------------------------------------------

    def can_start(self, now: float) -> bool:
        """Not while one that has failed is yet to be removed: that will set a pause."""
        failed = any(agent.ready is None and agent.verdict for agent in self.agents.values())
        return not failed and self.backoff.allows(now) and self.zygote.can_start

    def replenish(self, now: float) -> None:
        """Start what is missing, as soon as it can be started; end what is above the target."""
        if self.target.paused:
            return
        self._shed()
        if not self.can_start(now):
            return
        missing = planner.agents_to_start(
            target=self.target.size,
            cap=self._config.agent_cap,
            warming=self.warming,
            available=self.available,
            alive=self.alive,
            max_processes=self._config.max_processes,
        )
        at_once = 1 if self.backoff.failures else self.zygote.at_once  # after a failure, one shows whether it is mended
        for _ in range(min(missing, at_once - self.warming)):
            if self.start(now) is None:
                return

    def _shed(self) -> None:
        """The longest idle first, but none that a claim has taken meanwhile."""
        surplus = planner.surplus(target=self.target.size, warming=self.warming, available=self.available)
        for agent in list(self.agents.values()) if surplus else ():
            if surplus and agent.idle and agent.recorded_ready and agent.row.end(SURPLUS, was=StockStatus.AVAILABLE):
                agent.verdict = SURPLUS
                agent.channel.send(Stop(SURPLUS))
                surplus -= 1

    def start(self, now: float, *, on_demand: bool = False) -> Agent | None:
        """Row first, process after: what dies in between is known. One on demand is never stock. None: the zygote or
        the machine cannot now."""
        row = AgentProcess.objects.create(
            pod=self._pod,
            status=StockStatus.IN_USE if on_demand else StockStatus.WARMING,
            in_use_at=Now() if on_demand else None,
            on_demand=on_demand,
            start_method=self.zygote.method,
            version=self._agent_config.version,
        )
        zygote = self.zygote.zygote
        try:
            channel = zygote.fork(str(row.uuid)) if zygote else spawn(self._agent_config, str(row.uuid))
        except (ZygoteUnavailable, OSError) as error:
            row.end("could not be started")
            self.start_failed(str(error), now)
            return None
        agent = self.agents[row.pk] = Agent(row, channel, since=now)
        return agent

    def kill_hanging(self, now: float) -> None:
        """Kill agents that hang, and a zygote that does not fork."""
        self.pings.kill_hanging(now)
        unborn = (agent for agent in self.agents.values() if agent.channel.pid is None and not agent.channel.eof)
        silence = max((now - max(agent.since, agent.forgiven) for agent in unborn), default=0.0)
        pid = self.zygote.pid
        stopped = silence > self._config.timings.stopped_zygote and pid and process_table.is_stopped(pid)
        if silence > HUNG_ZYGOTE_S or stopped:
            self.zygote.hangs(now)

    # --- messages ------------------------------------------------------------------------------------

    def read(self, agent: Agent, now: float) -> None:
        """Take what has arrived from one agent, into memory only."""
        try:
            messages = agent.channel.receive()
        except ProtocolError as error:
            logger.error('event=agent_protocol_error %s problem="%s"', agent, error)
            agent.condemn("protocol error")
            return
        for message in messages:
            self._take(agent, message, now)

    def read_zygote(self, now: float) -> None:
        """Its news about single agents; about itself it is the keeper's business."""
        refused = {
            message.agent: message.reason for message in self.zygote.read(now) if isinstance(message, ForkRefused)
        }
        for agent in self.agents.values() if refused else ():
            if reason := refused.get(str(agent.row.uuid)):
                agent.condemn(f"fork refused: {reason}")

    def _take(self, agent: Agent, message: Message, now: float) -> None:
        match message:
            case Ready():
                agent.ready = message
                agent.ping_due = now + self._config.timings.ping_idle
            case WarmupFailed():
                agent.condemn(f"warm-up failed: {message.reason}")
            case Pong():
                if message.number == agent.ping_number:
                    agent.ping_sent = None
                    agent.private_bytes = message.private_bytes or agent.private_bytes
                    self._started_well()
            case Started():
                self._started_well()
                if agent.handoff:
                    agent.handoff.acknowledged(message, now)
            case Joined() | CallerJoined() | FirstAudio() if agent.handoff:
                agent.handoff.progressed(message)
            case Ended() if agent.handoff:
                agent.handoff.reported(message, now)
            case _:
                session = agent.handoff.uuid if agent.handoff else ""
                logger.warning("event=unexpected_message session=%s type=%s", session, message.type)

    def recycle(self, now: float) -> None:
        """Replace idle processes that are old, have grown, or are to go: few at a time, so that the stock hardly
        shrinks."""
        self._recycle_ordered()
        if now < self._recycle_due:
            return
        self._recycle_due = now + self._config.timings.recycle
        for agent in self._idle():
            reason = self._worn_out(agent, now)
            if reason and self._recycle(agent, reason):
                return

    def _recycle_ordered(self) -> None:
        """What operators want replaced, as fast as it is replaced; not while nothing is."""
        if self.target.paused:
            return
        rows = AgentProcess.objects.available().filter(pod=self._pod, retiring=True)
        ordered = set(rows.values_list("pk", flat=True))
        to_go = [agent for agent in self._idle() if agent.row.pk in ordered]
        number = planner.to_retire(old=len(to_go), warming=self.warming, target=self.target.size)
        for agent in to_go[:number]:
            self._recycle(agent, "recycled: by an operator")

    def _idle(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if agent.idle and agent.recorded_ready]

    def _recycle(self, agent: Agent, reason: str) -> bool:
        """False: a claim was faster."""
        if not agent.row.end(reason, was=StockStatus.AVAILABLE):
            return False
        logger.info("event=agent_recycled %s reason=%r", agent, reason)
        agent.verdict = reason
        agent.channel.send(Stop(reason))
        return True

    def _worn_out(self, agent: Agent, now: float) -> str:
        if now - agent.since > self._config.max_idle:
            return "recycled: old"
        limit = self._config.memory_limit * 1024 * 1024
        if limit and agent.private_bytes > limit:
            return "recycled: above the memory limit"
        return ""

    # --- rows follow --------------------------------------------------------------------------------------

    def record_ready(self, now: float) -> bool:
        """warming -> available for those that have become ready; whether there were any."""
        changed = False
        for agent in self.agents.values():
            if agent.ready is None or agent.recorded_ready:
                continue
            rows = AgentProcess.objects.filter(pk=agent.row.pk)
            ready = {"os_pid": agent.ready.pid, "warmup_ms": (now - agent.since) * 1000}
            WARMUP_SECONDS.labels(agent.row.start_method).observe(now - agent.since)
            self.time_to_replace = self.time_to_replace.learned(now - agent.since)
            if agent.row.on_demand or agent.handoff:
                rows.update(**ready)
            elif not rows.warming().update(status=StockStatus.AVAILABLE, available_at=Now(), **ready):
                agent.condemn("its row was ended")
            agent.recorded_ready = changed = True
        return changed

    def agree_with_rows(self) -> None:
        """Rows may be changed behind our back: an idle process that nobody can claim any more is replaced, and a row
        without a process is ended."""
        idle = {pk: agent for pk, agent in self.agents.items() if agent.idle and agent.recorded_ready}
        claimable = Q(status=StockStatus.AVAILABLE) | Q(voice_session__status=SessionStatus.ASSIGNED)
        right = set(AgentProcess.objects.filter(claimable, pk__in=idle).values_list("pk", flat=True))
        for pk in idle.keys() - right:
            idle[pk].condemn("its row was changed by somebody else")
        in_hand = Q(voice_session__status__in=[SessionStatus.ASSIGNED, SessionStatus.ACTIVE])
        strays = AgentProcess.objects.current().filter(pod=self._pod).exclude(in_hand | Q(pk__in=self.agents))
        with transaction.atomic():
            ended = strays.update(status=StockStatus.ENDED, ended_at=Now(), end_reason="there is no such process")
            counters.count_events(counters.Event.REAPED_PROCESS_ROW, ended)

    def dead_processes(self) -> Iterator[Agent]:
        """Those whose death is proved. The caller settles their sessions, then calls `remove`."""
        for agent in list(self.agents.values()):
            if agent.channel.eof and not agent.dead and not agent.verdict and not self._leaving(agent):
                agent.condemn("closed its control socket")
            if agent.dead:
                yield agent

    @staticmethod
    def _leaving(agent: Agent) -> bool:
        """It has reported the end of its session and is about to exit."""
        return agent.handoff is not None and agent.handoff.report is not None

    def remove(self, agent: Agent, now: float) -> None:
        """The process is gone: its row ends, and if it never became ready, though nobody had told it to go, that counts
        as a failed start."""
        status = agent.channel.exit_status()
        reason = agent.verdict or ("session over" if self._leaving(agent) else f"exited{_in_words(status)}")
        agent.row.end(reason[:100])
        agent.channel.close()
        del self.agents[agent.row.pk]
        if reason.startswith(PLANNED_ENDS):
            return
        if agent.ready is None and agent.channel.pid is not None:  # without a pid it never was: the zygote's failure
            self.start_failed(reason, now)
        elif agent.ready and agent.handoff is None:
            logger.warning("event=idle_agent_gone %s reason=%r", agent, reason)
            if agent.ping_number == 0:  # it has not even lived for a second
                self._early_deaths += 1
                if self._early_deaths >= EARLY_DEATHS:
                    self.start_failed(reason, now)

    def _started_well(self) -> None:
        """Ready alone proves little: a bot can crash a moment after it."""
        self._early_deaths = 0
        if self.backoff.failures:
            self.backoff, self.trouble = self.backoff.succeeded(), ""

    def start_failed(self, reason: str, now: float) -> None:
        """Pause before the next start, longer after each failure."""
        FAILURES.labels("agents").inc()
        if self.backoff.allows(now):  # those that were started together fail together: one failure
            self.backoff = self.backoff.failed(now)
        if reason != self.trouble:
            logger.error("event=agent_start_failed reason=%r retry_in=%.1f", reason, self.backoff.until - now)
        self.trouble = reason

    # --- the end ------------------------------------------------------------------------------------------

    def end_stock(self, reason: str) -> None:
        """available -> ended, but not for those that a claim has taken meanwhile: they are handed off."""
        for agent in self.agents.values():
            if agent.idle and agent.recorded_ready and agent.row.end(reason, was=StockStatus.AVAILABLE):
                agent.verdict = reason
                agent.channel.send(Stop(reason))
            elif agent.warming:
                agent.row.end(reason, was=StockStatus.WARMING)
                agent.condemn(reason)


def _in_words(status: int | None) -> str:
    if status is None:
        return ""
    return f" by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f" with code {status}"
