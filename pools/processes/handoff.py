"""The hand-off: a claimed session reaches its process, which acknowledges, is told to go, and reports until the end.

    assigned -> Start -> Started -> (assigned -> active, guarded) -> Go -> Joined ... Ended

Only the process that the database names is told to go, and only once: so there are never two bots in one room. A
process that does not acknowledge in time is killed; when its death is proved the session goes to another one.
"""

import logging
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from pools.agent import spool
from pools.daily.tokens import TokenSigner
from pools.decisions import planner
from pools.guards import Guards
from pools.metrics.pod import ACKNOWLEDGED_SECONDS, HANDOFF_SECONDS
from pools.models import Pod, SessionStatus, StockStatus, VoiceSession
from pools.processes import session_rows
from pools.processes.agent_in_hand import Agent
from pools.processes.agent_pool import AgentPool
from pools.processes.handoff_state import Handoff, Stage
from pools.protocol import Go, ProtocolError, Start, Stop
from pools.sessions.end_reasons import BODY_TOO_LARGE
from pools.sessions.ending import NEVER_IN, Result, end_session, hand_off_failed
from pools.sessions.meeting_tokens import owner_token
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)
events = logging.getLogger("pools.events")

PRECEDENCE_S = 0.02  # how long an unanswered Start keeps the loop free for its answer
STOP_S = 5.0  # what a bot gets to say goodbye when its session is to end
LAST_WORDS_S = 5.0  # from Ended, or the end of the time for afterwork, to the exit of the process


class HandOffs:
    """All hand-offs of a pod. Every method is one step: small, repeatable, cheap when there is nothing to do."""

    def __init__(
        self,
        config: SupervisorConfig,
        pod: Pod,
        pool: AgentPool,
        signer: Callable[[], TokenSigner | None],
        guards: Guards | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._guards = guards or Guards()
        self._config = config
        self._pod = pod
        self._pool = pool
        self._signer = signer

    def sessions(self) -> set[str]:
        return {agent.handoff.uuid for agent in self._pool.busy() if agent.handoff}

    def just_sent(self) -> bool:
        """Whether a Start has been written a moment ago and its answer is about to come."""
        now, handoffs = self._clock(), (agent.handoff for agent in self._pool.busy())
        return any(it and it.stage is Stage.STARTED and now - it.since < PRECEDENCE_S for it in handoffs)

    # --- deadlines (memory only) --------------------------------------------------------------------------

    def kill_overdue(self, now: float) -> None:
        """Kill those that do not acknowledge, outstay the limit, or do not leave after their last words."""
        for agent in self._pool.busy():
            if agent.handoff and not agent.verdict:
                self._kill_if_overdue(agent, agent.handoff, now)

    def _kill_if_overdue(self, agent: Agent, handoff: Handoff, now: float) -> None:
        waited = now - handoff.since
        match handoff.stage:
            case Stage.STARTED:
                limit = planner.acknowledgement_timeout(handoff.attempt)
                if agent.hangs(waited, limit):
                    about = handoff.uuid, handoff.lead, agent, limit
                    events.warning("event=not_acknowledged session=%s lead=%s %s within_s=%g", *about)
                    agent.condemn("did not acknowledge its session")
            case Stage.RUNNING:
                in_session = 0.0 if handoff.unclaimed or handoff.went_at is None else now - handoff.went_at
                if in_session > self._config.session_limit + self._config.timings.overtime:
                    agent.condemn("outstayed the session limit")
            case Stage.STOPPING:
                if waited > STOP_S + LAST_WORDS_S:
                    agent.condemn("did not stop")
            case Stage.REPORTED | Stage.OVER:
                if waited > self._config.afterwork + LAST_WORDS_S:
                    agent.condemn("did not exit after its session")

    # --- rows ---------------------------------------------------------------------------------------------

    def record(self, now: float) -> bool:
        """Bring the rows up to date with what the processes have reported; acknowledgements first."""
        changed = False
        busy = [(agent, agent.handoff) for agent in self._pool.busy() if agent.handoff]
        for agent, handoff in busy:
            if handoff.stage is Stage.ACKNOWLEDGED and not agent.verdict:
                self._acknowledge(agent, handoff, now)
        for _, handoff in busy:
            if handoff.unwritten:
                changed |= handoff.outbound and "bot_joined_at" in handoff.unwritten  # now its telephone can be dialled
                rows = VoiceSession.objects.active().filter(pk=handoff.pk, attempt=handoff.attempt)
                rows.update(**handoff.unwritten)
                handoff.unwritten = {}
            if handoff.stage is Stage.REPORTED:
                self._guards.run(f"the end of session {handoff.uuid}", partial(self._settle, handoff, now))
                changed = True
        return changed

    def _acknowledge(self, agent: Agent, handoff: Handoff, now: float) -> None:
        """Guarded: this session, this attempt, this process, this incarnation of the pod. Only then Go."""
        since_start = self._clock() - handoff.start_at
        if not session_rows.acknowledge(handoff.pk, handoff.attempt, agent.row.pk, self._pod.pk, since_start):
            agent.condemn("its session went elsewhere")
            return
        agent.channel.send(Go(handoff.uuid, handoff.attempt))
        handoff.go_written(now)
        agent.ping_due = now  # does it hang on its way into the room?
        waited = (datetime.now(UTC) - handoff.claimed_at) / timedelta(milliseconds=1)
        HANDOFF_SECONDS.labels(handoff.attempt).observe(waited / 1000)
        if not handoff.unclaimed:
            ACKNOWLEDGED_SECONDS.labels(handoff.start_kind).observe((handoff.before_claim_ms + waited) / 1000)
        events.info(
            "event=session_active session=%s lead=%s %s attempt=%d ms=%.1f",
            handoff.uuid,
            handoff.lead,
            agent,
            handoff.attempt,
            waited,
        )

    def _settle(self, handoff: Handoff, now: float) -> None:
        """Write the end that the process has reported.

        If its bot never got into the room, the start is tried again elsewhere, but not before the process is dead (see
        `process_died`). So is one that nobody has claimed, as far as we know. If the room does not exist, no bot would
        get in, and the session is over.
        """
        report = handoff.report
        if report is None or handoff.unclaimed:
            return
        if not handoff.joined and report.no_room:
            events.warning("event=no_such_room session=%s lead=%s problem=%r", handoff.uuid, handoff.lead, report.error)
            hand_off_failed(handoff.pk, handoff.attempt, report.error, hopeless=True)
        elif not handoff.joined and report.reason in NEVER_IN:
            return
        else:
            end_session(handoff.pk, Result.of(report))
        handoff.settled(now)

    def process_died(self, agent: Agent, now: float) -> None:
        """Settle the session that the process had, if it has not been settled: it ends, or goes to another process.

        A bot whose joining cannot be observed counts as joined when the time for it is over.
        """
        handoff = agent.handoff
        if handoff is None:
            self._orphaned_claim(agent)
            return
        if self._config.agent.spool_dir:
            spool.discard(self._config.agent.spool_dir, handoff.uuid, handoff.attempt)
        if handoff.stage is Stage.OVER:
            return
        report, went_at = handoff.report, handoff.went_at
        problem = agent.verdict or (report.error or report.reason if report else "the process died")
        settled_in = went_at is not None and now - went_at > self._config.join_timeout + LAST_WORDS_S
        if not handoff.unclaimed and (handoff.joined or settled_in):
            end_session(handoff.pk, Result(handoff.stop_reason or "agent_lost", detail={"problem": problem}))
        else:
            hand_off_failed(handoff.pk, handoff.attempt, problem)
        handoff.settled(now)

    def _orphaned_claim(self, agent: Agent) -> None:
        """A claim may have taken the process before its death was seen and its session read."""
        session = VoiceSession.objects.assigned().filter(agent_process=agent.row.pk).first()
        if session:
            hand_off_failed(session.pk, session.attempt, "the process died before the hand-off")

    # --- sessions for processes ---------------------------------------------------------------------------

    def poll(self, now: float, *, draining: bool) -> None:
        """Start what has been assigned to our processes; take waiting sessions, oldest first."""
        sessions = session_rows.to_see_to(self._pod)
        for session in sessions:
            if session.agent_process_id is None:
                continue
            if session.status == SessionStatus.ASSIGNED:
                bind = partial(self._bind, session, session.agent_process_id, now)
                self._guards.run(f"the hand-off of session {session.uuid}", bind)
            elif agent := self._pool.agents.get(session.agent_process_id):
                self._stop(agent, session.stop_reason, STOP_S, now)
        waiting = [session for session in sessions if session.status == SessionStatus.WAITING]
        if waiting and not draining:
            left = session_rows.left_to_others(self._pod, waiting)
            self._take_waiting(len(waiting) - len(left), left, now)

    def _bind(self, session: VoiceSession, agent_pk: int, now: float) -> None:
        agent = self._pool.agents.get(agent_pk)
        if agent is None:
            hand_off_failed(session.pk, session.attempt, "the process is gone")
        elif agent.handoff is None:
            agent.handoff = Handoff.of(session)
        if agent:
            self._send_start(agent, session)

    def _send_start(self, agent: Agent, session: VoiceSession) -> None:
        """Write Start as soon as the process is ready; the clock of the acknowledgement runs from here."""
        handoff = agent.handoff
        if handoff is None or handoff.stage is not Stage.BOUND or agent.ready is None or agent.verdict:
            return
        config = self._config
        # Who joins before the claim stays for as long as the room does.
        life = timedelta(seconds=config.room_life if session.unclaimed else config.session_limit)
        try:
            token = owner_token(session, session.room, self._signer(), life)
        except LookupError as error:
            self._give_up(agent, handoff, "no_meeting_token", str(error))
            return
        start = Start(
            session=handoff.uuid,
            attempt=handoff.attempt,
            room_url=session.room.url,
            token=token,
            body=session.body,
            session_limit=config.session_limit,
            join_timeout=config.join_timeout,
            caller_timeout=config.phone_timeout if session.outbound else config.caller_timeout,
            idle_timeout=config.idle_timeout,
            afterwork=config.afterwork,
            phone=session.outbound,
            sandbox=config.sandbox,
            reference=handoff.lead,
            prejoin=session.unclaimed,
        )
        began = self._clock()
        try:
            written = agent.channel.send(start)
        except ProtocolError as error:
            self._give_up(agent, handoff, BODY_TOO_LARGE, str(error))
            return
        handoff.start_written(began)
        if not written:
            agent.condemn("cannot be written to")

    def _give_up(self, agent: Agent, handoff: Handoff, reason: str, problem: str) -> None:
        """No process can be told of this session."""
        logger.error("event=not_handed_off session=%s reason=%s problem=%r", handoff.uuid, reason, problem)
        end_session(handoff.pk, Result(reason, detail={"problem": problem}))
        handoff.settled(self._clock())
        agent.condemn(f"its session cannot be handed off: {reason}")

    def _take_waiting(self, waiting: int, left: set[int], now: float) -> None:
        """So many, but none of those that are `left` to other pods."""
        idle = [agent for agent in self._pool.agents.values() if agent.idle and agent.recorded_ready]
        warming = [agent for agent in self._pool.agents.values() if agent.warming]
        sources = planner.sources_for_waiting(
            waiting=waiting,
            available=len(idle),
            warming=len(warming),
            alive=self._pool.alive,
            max_processes=self._config.max_processes if self._pool.can_start(now) else 0,
        )
        for source in sources:
            match source:
                case planner.Source.AVAILABLE:
                    taken = self._take_one(idle.pop(), StockStatus.AVAILABLE, left)
                case planner.Source.WARMING:
                    taken = self._take_one(warming.pop(0), StockStatus.WARMING, left)
                case planner.Source.NEW:
                    new = self._pool.start(now, on_demand=True)
                    taken = new is not None and self._take_one(new, StockStatus.IN_USE, left)
            if not taken:
                return

    def _take_one(self, agent: Agent, status: StockStatus, left: set[int]) -> bool:
        """Assign the oldest waiting session to this process. False: no session waits any more."""
        try:
            session = session_rows.assign_oldest(agent.row, status, left)
        except session_rows.ProcessTaken:
            return True
        if session is None:
            return self._spare(agent)
        agent.handoff = Handoff.of(session)
        self._send_start(agent, session)
        return True

    def _spare(self, agent: Agent) -> bool:
        """Another pod was faster: a process that was made for the session is not stock and goes."""
        if agent.row.on_demand:
            agent.condemn("its session was taken by another pod")
        return False

    def stop_calls(self, reason: str, deadline: float, now: float) -> None:
        """Tell every call to end; what has not even started is killed and handed off elsewhere."""
        for agent in self._pool.busy():
            if agent.handoff and agent.handoff.told_to_go:
                self._stop(agent, reason, deadline, now)
            else:
                agent.condemn(reason, signal.SIGKILL)

    @staticmethod
    def _stop(agent: Agent, reason: str, deadline: float, now: float) -> None:
        if agent.handoff and agent.handoff.stop_asked(reason, now):
            agent.channel.send(Stop(reason, deadline))
