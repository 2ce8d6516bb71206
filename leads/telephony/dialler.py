"""The dialler's step in the supervisor's loop: takes due leads, dials once their bots have joined, records the answers.

The intent to dial is written before Daily is asked. It is taken back only if Daily's answer says that no call was made.
A dial with an unknown outcome (no answer in time, a crash in between) is never repeated; only the bot in the room can
see what came of it.
"""

import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from math import inf
from uuid import UUID

from django.db.models.functions import Now

from leads.models import Lead, LeadStatus, PlatformStatus, ProviderStatus
from leads.telephony import dialling, phone_calls
from leads.telephony.dialling import DiallingConfig
from pools.daily import budget
from pools.daily.client import DailyClient, PhoneCall
from pools.daily.errors import (
    DailyError,
    DailyKeyRefused,
    DailyRateLimited,
    DailyRejected,
    DailyUnreachable,
    RoomNotFound,
)
from pools.decisions import planner
from pools.guards import Guards, one_by_one
from pools.http_calls import HttpCalls
from pools.models import Pod
from pools.sessions.ending import ask_to_end
from pools.supervisor.background_tasks import Turn

logger = logging.getLogger(__name__)

LOOK_S = 0.1  # at least so long between two polls, however often the supervisor is woken
BUDGET_S = 0.25  # until the next try, if Daily's limit leaves no place for a dial
THREADS = 8
ROOM_LOST = "room_lost"
NOT_CARRIED_OUT = (DailyRateLimited, DailyUnreachable, DailyKeyRefused, RoomNotFound)


@dataclass(frozen=True)
class Dial:
    """A request to dial that Daily has not answered yet."""

    lead: int
    lead_uuid: UUID
    session: int
    session_uuid: UUID
    room: str


@dataclass(frozen=True)
class Answer:
    """Daily's answer to a dial: the id of the call, or an error."""

    dial: Dial
    phone_session: str | None
    error: DailyError | None


class Dialler:
    """A background task of the supervisor (pools.supervisor.background_tasks.BackgroundTask)."""

    def __init__(self, client: DailyClient, config: DiallingConfig) -> None:
        self._client = client
        self._config = config
        self._calls = HttpCalls(threads=THREADS)
        self._on_their_way = 0
        self._answers: deque[Answer] = deque()
        self._backoff = planner.Backoff(base=1.0, ceiling=30.0)
        self._asked = True
        self._looked = -inf
        self._due_by_time = inf

    @property
    def due(self) -> float:
        return self._looked + LOOK_S if self._asked else self._due_by_time

    def fileno(self) -> int:
        return self._calls.fileno()

    def receive(self, now: float) -> None:
        self._calls.collect()

    def step(self, turn: Turn) -> None:
        """Dial for the sessions whose bots are in their rooms, then take due leads."""
        self._asked |= turn.woken or turn.now >= self._due_by_time
        if not self._asked or turn.now < self._looked + LOOK_S:
            return
        self._looked, self._asked = turn.now, False
        self._due_by_time = inf
        self._dial(turn.pod, turn.now, turn.guards)
        if not turn.draining and not turn.pod.draining:
            self._take_leads(turn.now, turn.guards)

    def close(self) -> None:
        self._calls.close()

    # --- taking leads -------------------------------------------------------------------------------------

    def _take_leads(self, now: float, guards: Guards) -> None:
        begun, wait = dialling.begin_calls(self._config, guards)
        self._due_by_time = min(self._due_by_time, now + wait)
        self._asked |= begun > 0

    # --- dialling -----------------------------------------------------------------------------------------

    def _dial(self, pod: Pod, now: float, guards: Guards) -> None:
        """Dial for our sessions whose bots have joined, in the order of joining, as far as Daily's limit allows."""
        if not self._backoff.allows(now):
            self._due_by_time = self._backoff.until
            return
        ready = Lead.objects.to_be_dialled().filter(voice_session__agent_process__pod=pod)
        for lead in ready.order_by("voice_session__bot_joined_at")[: THREADS - self._on_their_way]:
            if not budget.take(budget.Group.DIAL, budget.Priority.ON_DEMAND):
                self._due_by_time = now + BUDGET_S
                return
            guards.run(f"dialling lead {lead.uuid}", partial(self._dial_one, lead))

    def _dial_one(self, lead: Lead) -> None:
        session = lead.voice_session
        if session is None or not self._intend(lead):
            return
        dial = Dial(lead.pk, lead.uuid, session.pk, session.uuid, session.room.name)
        call = PhoneCall(lead.payload[phone_calls.NUMBER_KEY], f"p{session.uuid.hex}", self._config.caller_id)
        self._on_their_way += 1

        def done(phone_session: str | None, error: DailyError | None) -> None:
            self._on_their_way -= 1
            self._answers.append(Answer(dial, phone_session, error))

        self._calls.submit(lambda: self._client.start_dialout(dial.room, call), done)
        logger.info("event=dialling lead=%s session=%s", dial.lead_uuid, dial.session_uuid)

    @staticmethod
    def _intend(lead: Lead) -> bool:
        """Write the intent to dial. Returns whether this call has written it; afterwards nobody dials the lead again.

        The conditions on the lead's own columns are repeated outside of the subquery: if another transaction changes
        the row meanwhile, PostgreSQL evaluates them again on the new row, but not the subquery.
        """
        row = Lead.objects.filter(pk=lead.pk, voice_session=lead.voice_session, status=LeadStatus.PROCESSING)
        return (
            row.filter(platform_status="", pk__in=Lead.objects.to_be_dialled().values("pk")).update(
                platform_status=PlatformStatus.INITIATED,
                platform_reason=phone_calls.DIALED,
                call_initiated_time=Now(),
                updated_at=Now(),
            )
            == 1
        )

    # --- answers ------------------------------------------------------------------------------------------

    def record(self, now: float) -> bool:
        """Record Daily's answers. Returns whether there were any."""
        answered = bool(self._answers)
        one_by_one(self._answers, lambda answer: self._write_down(answer, now), "writing down a dial")
        self._asked |= answered
        return answered

    def _write_down(self, answer: Answer, now: float) -> None:
        dial, error = answer.dial, answer.error
        about = f"lead={dial.lead_uuid} session={dial.session_uuid}"
        ours = Lead.objects.filter(pk=dial.lead, voice_session=dial.session, status=LeadStatus.PROCESSING)
        if error is None:
            self._backoff = self._backoff.succeeded()
            called = Lead.objects.filter(pk=dial.lead, voice_session=dial.session)
            called.update(phone_session=answer.phone_session or "", updated_at=Now())  # even if the call is over
            if not ours.exists() and self._may_ring(dial):
                self._hang_up(dial, answer.phone_session or "")
        elif isinstance(error, NOT_CARRIED_OUT):
            ours.filter(platform_status=PlatformStatus.INITIATED).update(
                platform_status="", platform_reason="", call_initiated_time=None, updated_at=Now()
            )
            logger.warning('event=not_dialled %s problem="%s"', about, error)
            if isinstance(error, RoomNotFound):  # another try would not find it either
                ask_to_end(dial.session_uuid, ROOM_LOST)
            else:
                retry_after = error.retry_after if isinstance(error, DailyRateLimited) else None
                self._backoff = self._backoff.failed(now, at_least=retry_after or 0.0)
        elif isinstance(error, DailyRejected):
            reason = phone_calls.NUMBER_REFUSED if "phoneNumber" in str(error) else phone_calls.DIAL_REFUSED
            logger.error('event=dial_refused %s problem="%s"', about, error)
            ask_to_end(dial.session_uuid, reason)
        else:
            logger.warning('event=dial_unknown %s problem="%s"', about, error)

    @staticmethod
    def _may_ring(dial: Dial) -> bool:
        """Return whether a phone may still ring although its session is over, because the call's end is unknown.

        The callee would pick up and hear nobody. Daily would hang up after a while; it is polite not to wait for that.
        """
        known = (ProviderStatus.ANSWERED, ProviderStatus.NOT_ANSWERED)
        return not Lead.objects.filter(pk=dial.lead, voice_session=dial.session, provider_status__in=known).exists()

    def _hang_up(self, dial: Dial, phone_session: str) -> None:
        logger.info("event=late_dial_stopped lead=%s session=%s", dial.lead_uuid, dial.session_uuid)
        if budget.take(budget.Group.GENERAL, budget.Priority.ON_DEMAND):
            self._calls.submit(lambda: self._client.stop_dialout(dial.room, phone_session), lambda nothing, error: None)
