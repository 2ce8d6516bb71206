"""Keeps pre-joined pairs: sessions whose bot has joined its room before anybody claims them (VOICE_AGENT_PREJOIN).

Such a pair is a session from the beginning, handed off and acknowledged as any other, but `unclaimed`: stock, not a
call. The claim is one guarded update of it; the process is then told, with the body. What is left unclaimed when the
pod drains, when its room grows old or its process dies, is given up and made anew.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from pools.daily.tokens import TokenSigner
from pools.decisions import planner
from pools.metrics.pod import ACKNOWLEDGED_SECONDS
from pools.models import AgentProcess, Pod, SessionStatus, StartKind, StockStatus, VoiceSession
from pools.models.voice_sessions import VoiceSessionQuerySet
from pools.processes.agent_in_hand import Agent
from pools.processes.agent_pool import AgentPool
from pools.processes.handoff_state import Handoff
from pools.protocol import Claimed, ProtocolError, Stop
from pools.sessions import taking
from pools.sessions.end_reasons import BODY_TOO_LARGE, PREJOINED_PAIR_GIVEN_UP
from pools.sessions.ending import Result, end_session, end_unclaimed

if TYPE_CHECKING:
    from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

STOP_S = 2.0


class PrejoinedPairs:
    def __init__(
        self,
        config: "SupervisorConfig",
        pod: Pod,
        pool: AgentPool,
        signer: Callable[[], TokenSigner | None],
    ) -> None:
        self._config = config
        self._pod = pod
        self._pool = pool
        self._signer = signer

    def unclaimed(self) -> list[Agent]:
        """As far as we know: a claim may have taken one a moment ago."""
        return [agent for agent in self._pool.busy() if agent.handoff and agent.handoff.unclaimed]

    def deliver(self) -> None:
        """Tell the processes of those that have been claimed, with what their bots are to say."""
        waiting = {agent.handoff.pk: agent for agent in self.unclaimed() if agent.handoff}
        if not waiting:
            return
        claimed = VoiceSession.objects.filter(pk__in=waiting, unclaimed=False).exclude(status=SessionStatus.ENDED)
        for session in claimed.only("pk", "uuid", "body", "created_at", "before_claim_ms"):
            agent = waiting[session.pk]
            if agent.handoff:
                self._deliver(agent, agent.handoff, session)

    def _deliver(self, agent: Agent, handoff: Handoff, session: VoiceSession) -> None:
        now = time.monotonic()
        try:
            agent.channel.send(Claimed(str(session.uuid), session.body))
        except ProtocolError as error:
            end_session(session.pk, Result(BODY_TOO_LARGE, detail={"problem": str(error)}))
            handoff.settled(now)
            agent.channel.send(Stop(BODY_TOO_LARGE, STOP_S))
        handoff.claimed(session.created_at, now)
        ACKNOWLEDGED_SECONDS.labels("prejoined").observe((session.before_claim_ms or 0.0) / 1000)

    def replenish(self, now: float) -> bool:
        """Make what is missing, out of the stock of both pools; whether there is something to hand off."""
        if not self._config.prejoin:
            return False
        self._give_up_old()
        idle = [agent for agent in self._pool.agents.values() if agent.idle and agent.recorded_ready]
        able = [agent for agent in idle if agent.ready and agent.ready.warm.get("prejoin") is True]
        missing = planner.shortfall(
            target=self._config.prejoin, cap=self._config.prejoin, warming=0, available=len(self.unclaimed())
        )
        made = [self._make(agent) for agent in able[:missing]]
        return any(made)

    def _make(self, agent: Agent) -> bool:
        """False: a claim has taken the process, or no room is in stock."""
        with transaction.atomic():
            process = AgentProcess.objects.available().filter(pk=agent.row.pk)
            if not process.update(status=StockStatus.IN_USE, in_use_at=Now()):
                return False
            life = timedelta(seconds=self._config.session_limit)
            room = taking.take_room(life, stored_tokens=self._signer() is None)
            if room is None:
                transaction.set_rollback(True)
                return False
            VoiceSession.objects.create(
                room=room,
                agent_process=agent.row,
                status=SessionStatus.ASSIGNED,
                assigned_at=Now(),
                start_kind=StartKind.PREJOINED,
                unclaimed=True,
            )
        return True

    # --- giving up ----------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """The pod keeps no stock any more."""
        self._give_up(VoiceSession.objects.filter(agent_process__pod=self._pod))

    def _give_up_old(self) -> None:
        if self.unclaimed():
            too_old = Q(room__expires_at__lte=Now() + timedelta(seconds=self._config.session_limit))
            self._give_up(VoiceSession.objects.filter(too_old, agent_process__pod=self._pod))

    def _give_up(self, sessions: VoiceSessionQuerySet) -> None:
        waiting = {agent.handoff.pk: agent for agent in self.unclaimed() if agent.handoff}
        if not waiting:
            return
        for pk in end_unclaimed(sessions, PREJOINED_PAIR_GIVEN_UP):
            agent = waiting.get(pk)
            if agent and agent.handoff:
                agent.handoff.settled(time.monotonic())
                agent.channel.send(Stop(PREJOINED_PAIR_GIVEN_UP, STOP_S))
