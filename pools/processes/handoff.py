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

from django.db import transaction
from django.db.models.functions import Now

from pools.agent import spool
from pools.daily.tokens import TokenSigner
from pools.decisions import planner
from pools.guards import Guards
from pools.metrics.pod import ACKNOWLEDGED_SECONDS, HANDOFF_SECONDS
from pools.models import AgentProcess, Pod, SessionStatus, StockStatus, VoiceSession
from pools.processes import handoff_rows
from pools.processes.agent_in_hand import Agent, Handoff
from pools.processes.agent_pool import AgentPool
from pools.processes.preference import left_to_others
from pools.protocol import CallerJoined, Ended, FirstAudio, Go, Joined, Message, ProtocolError, Start, Started, Stop
from pools.sessions.end_reasons import BODY_TOO_LARGE
from pools.sessions.ending import NEVER_IN, Result, end_session, hand_off_failed
from pools.sessions.meeting_tokens import owner_token
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)
events = logging.getLogger("pools.events")

PRECEDENCE_S = 0.02  # how long an unanswered Start keeps the loop free for its answer
STOP_S = 5.0  # what a bot gets to say goodbye when its session is to end
LAST_WORDS_S = 5.0  # from Ended, or the end of the time for afterwork, to the exit of the process
OVERTIME_S = 15.0  # the agent enforces the session limit itself; this is for one that does not
PROGRESS: dict[type[Message], str] = {
    Joined: "bot_joined_at",
    CallerJoined: "caller_joined_at",
    FirstAudio: "first_audio_at",
}


class HandOffs:
    """All hand-offs of a pod. Every method is one step: small, repeatable, cheap when there is nothing to do."""

    def __init__(
        self,
        config: SupervisorConfig,
        pod: Pod,
        pool: AgentPool,
        signer: Callable[[], TokenSigner | None],
        guards: Guards | None = None,
    ) -> None:
        self._guards = guards or Guards()
        self._config = config
        self._pod = pod
        self._pool = pool
        self._signer = signer

    def sessions(self) -> set[str]:
        return {agent.handoff.uuid for agent in self._pool.busy() if agent.handoff}

    def just_sent(self, now: float) -> bool:
        """Whether a Start has been written a moment ago and its answer is about to come."""
        return any(
            agent.handoff
            and agent.handoff.sent
            and not agent.handoff.started
            and now - agent.handoff.sent < PRECEDENCE_S
            for agent in self._pool.busy()
        )

    # --- messages and clocks (memory only) ----------------------------------------------------------------

    def listen(self, now: float) -> None:
        """Take what the processes have said."""
        for agent in self._pool.busy():
            handoff = agent.handoff
            while handoff and agent.inbox:
                self._take(handoff, agent.inbox.popleft(), now)

    def _take(self, handoff: Handoff, message: Message, now: float) -> None:
        match message:
            case Started(session=session, attempt=attempt):
                handoff.started |= (session, attempt) == (handoff.uuid, handoff.attempt)
            case Ended():
                handoff.final, handoff.final_since = message, now
            case Joined() | CallerJoined() | FirstAudio():
                handoff.joined |= isinstance(message, Joined)
                handoff.news.setdefault(PROGRESS[type(message)], datetime.now(UTC))
            case _:
                logger.warning("event=unexpected_message session=%s type=%s", handoff.uuid, message.type)

    def kill_overdue(self, now: float) -> None:
        """Kill those that do not acknowledge, outstay the limit, or do not leave after their last words."""
        for agent in self._pool.busy():
            handoff = agent.handoff
            if handoff is None or agent.verdict:
                continue
            limit = planner.acknowledgement_timeout(handoff.attempt)
            if handoff.sent is not None and not handoff.started and agent.hangs(now - handoff.sent, limit):
                events.warning(
                    "event=not_acknowledged session=%s lead=%s %s within_s=%g", handoff.uuid, handoff.lead, agent, limit
                )
                agent.condemn("did not acknowledge its session")
            elif handoff.final:
                if now - handoff.final_since > self._config.afterwork + LAST_WORDS_S:
                    agent.condemn("did not exit after its session")
            elif handoff.stop is not None and now - handoff.stop > STOP_S + LAST_WORDS_S:
                agent.condemn("did not stop")
            elif handoff.unclaimed:
                continue
            elif handoff.go is not None and now - handoff.go > self._config.session_limit + OVERTIME_S:
                agent.condemn("outstayed the session limit")

    # --- rows ---------------------------------------------------------------------------------------------

    def record(self, now: float) -> bool:
        """Bring the rows up to date with what the processes have said; acknowledgements first."""
        changed = False
        for agent in self._pool.busy():
            handoff = agent.handoff
            if handoff and handoff.started and handoff.go is None and not agent.verdict:
                self._acknowledge(agent, handoff, now)
        for agent in self._pool.busy():
            handoff = agent.handoff
            if handoff and handoff.news:
                changed |= handoff.outbound and "bot_joined_at" in handoff.news  # now its telephone can be dialled
                VoiceSession.objects.active().filter(pk=handoff.pk, attempt=handoff.attempt).update(**handoff.news)
                handoff.news = {}
            if handoff and handoff.final and not handoff.settled:
                self._guards.run(f"the end of session {handoff.uuid}", partial(self._settle, handoff))
                changed = True
        return changed

    def _acknowledge(self, agent: Agent, handoff: Handoff, now: float) -> None:
        """Guarded: this session, this attempt, this process, this incarnation of the pod. Only then Go."""
        since_start = time.monotonic() - handoff.sent if handoff.sent else 0.0
        if not handoff_rows.acknowledge(handoff.pk, handoff.attempt, agent.row.pk, self._pod.pk, since_start):
            agent.condemn("its session went elsewhere")
            return
        handoff.go = now
        agent.channel.send(Go(handoff.uuid, handoff.attempt))
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

    def _settle(self, handoff: Handoff) -> None:
        """The process has reported the end. If its bot never got into the room, the start is tried again elsewhere,
        but not before the process is dead (see `process_died`). So is one that nobody has claimed, as far as we know.
        If the room does not exist, nobody would get in, and the session is over."""
        final = handoff.final
        if final is None or handoff.unclaimed:
            return
        if not handoff.joined and final.no_room:
            events.warning("event=no_such_room session=%s lead=%s problem=%r", handoff.uuid, handoff.lead, final.error)
            hand_off_failed(handoff.pk, handoff.attempt, final.error, hopeless=True)
            handoff.settled = True
            return
        if not handoff.joined and final.reason in NEVER_IN:
            return
        end_session(handoff.pk, Result.of(final))
        handoff.settled = True

    def process_died(self, agent: Agent, now: float) -> None:
        """The process is dead: settle the session that it had, if it has not been settled.

        A bot whose joining cannot be observed counts as joined when the time for it is over.
        """
        handoff = agent.handoff
        if handoff is None:
            self._orphaned_claim(agent)
            return
        if self._config.agent.spool_dir:
            spool.discard(self._config.agent.spool_dir, handoff.uuid, handoff.attempt)
        if not handoff.settled:
            final = handoff.final
            problem = agent.verdict or (final.error or final.reason if final else "the process died")
            settled_in = handoff.go is not None and now - handoff.go > self._config.join_timeout + LAST_WORDS_S
            if not handoff.unclaimed and (handoff.joined or settled_in):
                result = Result(handoff.stop_reason or "agent_lost", detail={"problem": problem})
                end_session(handoff.pk, result)
            else:
                hand_off_failed(handoff.pk, handoff.attempt, problem)
            handoff.settled = True

    def _orphaned_claim(self, agent: Agent) -> None:
        """A claim may have taken the process before its death was seen and its session read."""
        session = VoiceSession.objects.assigned().filter(agent_process=agent.row.pk).first()
        if session:
            hand_off_failed(session.pk, session.attempt, "the process died before the hand-off")

    # --- sessions for processes ---------------------------------------------------------------------------

    def poll(self, now: float, *, draining: bool) -> None:
        """Start what has been assigned to our processes; take waiting sessions, oldest first."""
        sessions = handoff_rows.to_see_to(self._pod)
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
            left = left_to_others(self._pod, waiting)
            self._take_waiting(len(waiting) - len(left), left, now)

    def _bind(self, session: VoiceSession, agent_pk: int, now: float) -> None:
        agent = self._pool.agents.get(agent_pk)
        if agent is None:
            hand_off_failed(session.pk, session.attempt, "the process is gone")
        elif agent.handoff is None:
            self._hand(agent, session)
        if agent:
            self._send_start(agent, session)

    def _hand(self, agent: Agent, session: VoiceSession) -> None:
        agent.handoff = Handoff(
            session.pk,
            str(session.uuid),
            session.attempt,
            session.created_at,
            before_claim_ms=session.before_claim_ms or 0.0,
            start_kind=session.start_kind,
            outbound=session.outbound,
            lead=str(session.reference or ""),
            unclaimed=session.unclaimed,
        )

    def _send_start(self, agent: Agent, session: VoiceSession) -> None:
        """Write Start as soon as the process is ready; the clock of the acknowledgement runs from here."""
        handoff = agent.handoff
        if handoff is None or handoff.sent is not None or agent.ready is None or agent.verdict:
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
        began = time.monotonic()
        try:
            written = agent.channel.send(start)
        except ProtocolError as error:
            self._give_up(agent, handoff, BODY_TOO_LARGE, str(error))
            return
        handoff.sent = began
        if not written:
            agent.condemn("cannot be written to")

    def _give_up(self, agent: Agent, handoff: Handoff, reason: str, problem: str) -> None:
        """No process can be told of this session."""
        logger.error("event=not_handed_off session=%s reason=%s problem=%r", handoff.uuid, reason, problem)
        end_session(handoff.pk, Result(reason, detail={"problem": problem}))
        handoff.settled = True
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
                    taken = self._take_one(idle.pop(), StockStatus.AVAILABLE, left, now)
                case planner.Source.WARMING:
                    taken = self._take_one(warming.pop(0), StockStatus.WARMING, left, now)
                case planner.Source.NEW:
                    new = self._pool.start(now, on_demand=True)
                    taken = new is not None and self._take_one(new, StockStatus.IN_USE, left, now)
            if not taken:
                return

    def _take_one(self, agent: Agent, status: StockStatus, left: set[int], now: float) -> bool:
        """Assign the oldest waiting session to this process. False: no session waits any more."""
        with transaction.atomic():
            session = (
                VoiceSession.objects.waiting()
                .exclude(pk__in=left)
                .select_for_update(skip_locked=True, of=("self",))
                .select_related("room")
                .order_by("id")
                .first()
            )
            process = AgentProcess.objects.filter(pk=agent.row.pk, status=status)
            if session is None or not process.update(status=StockStatus.IN_USE, in_use_at=Now()):
                return self._spare(agent) if session is None else True
            session.status, session.agent_process, session.assigned_at = SessionStatus.ASSIGNED, agent.row, Now()
            session.save(update_fields=["status", "agent_process", "assigned_at"])
        self._hand(agent, session)
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
            if agent.handoff and agent.handoff.go is not None:
                self._stop(agent, reason, deadline, now)
            else:
                agent.condemn(reason, signal.SIGKILL)

    @staticmethod
    def _stop(agent: Agent, reason: str, deadline: float, now: float) -> None:
        handoff = agent.handoff
        if handoff and handoff.stop is None:
            handoff.stop, handoff.stop_reason = now, reason
            agent.channel.send(Stop(reason, deadline))
