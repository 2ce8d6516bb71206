"""Takes the telephony leads that are due and within their calling window, as many as capacity and limits allow.

This is one short transaction without network calls. Pods run it one after the other, so that no template exceeds its
concurrent calls and web callers keep their reserve, however many pods there are. The phone is dialled later, by the pod
that has the session, once the bot is in its room (dialler.py).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from common.database import DATABASE_AWAY
from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from leads import bot_body
from leads.models import Lead, LeadStatus
from leads.telephony import phone_calls
from leads.telephony.calling_window import CallingWindow, time_zone
from leads.telephony.dialling_plan import Capacity, Plan, Queue, Reserve, plan
from leads.webhooks import outbox
from pools import notifications
from pools.daily.account import DailyAccess
from pools.guards import Guards, told
from pools.models import HANDOFF_LEASE
from pools.phone import is_phone_number
from pools.sessions.claims import PoolExhausted, RoomNeeded, SessionRequest, claim

logger = logging.getLogger(__name__)

UNCALLABLE_AT_ONCE = 100
PUT_OFF = timedelta(minutes=5)  # for a lead that cannot be dialled for an unexpected reason
# The templates that have a lead to dial (an index walk with one step per template), and for each of them when its first
# lead is due, how many are due (counted only as far as matters), and how many calls it has. The conditions repeat those
# of the partial indexes word by word; otherwise PostgreSQL would not use these.
QUEUES = """
WITH RECURSIVE waiting AS (
    (SELECT template_id FROM leads_lead
     WHERE status = 'BACKLOG' AND execution_mode IN ('TELEPHONY', 'TELEPHONY_TEST') AND platform_status = ''
     ORDER BY template_id LIMIT 1)
    UNION ALL
    SELECT (SELECT template_id FROM leads_lead
            WHERE status = 'BACKLOG' AND execution_mode IN ('TELEPHONY', 'TELEPHONY_TEST') AND platform_status = ''
            AND template_id > waiting.template_id ORDER BY template_id LIMIT 1)
    FROM waiting WHERE waiting.template_id IS NOT NULL
), running AS (
    SELECT template_id, count(*) AS calls FROM leads_lead
    WHERE status = 'PROCESSING' AND execution_mode IN ('TELEPHONY', 'TELEPHONY_TEST') GROUP BY template_id
)
SELECT template.id, template.calling_window_start, template.calling_window_end, template.time_zone,
    template.max_concurrent_calls, coalesce(running.calls, 0), statement_timestamp(),
    extract(epoch FROM due.first - statement_timestamp()), due.leads
FROM waiting JOIN leads_template AS template ON template.id = waiting.template_id AND template.active
LEFT JOIN running ON running.template_id = template.id
CROSS JOIN LATERAL (
    SELECT min(next_attempt_at) AS first, count(*) FILTER (WHERE next_attempt_at <= statement_timestamp()) AS leads
    FROM (
        SELECT next_attempt_at FROM leads_lead
        WHERE template_id = template.id
        AND status = 'BACKLOG' AND execution_mode IN ('TELEPHONY', 'TELEPHONY_TEST') AND platform_status = ''
        ORDER BY next_attempt_at LIMIT %s
    ) AS few
) AS due"""
CAPACITY = """
WITH taking AS (
    SELECT id, max_processes FROM pools_pod
    WHERE ended_at IS NULL AND NOT draining AND heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
), processes AS (
    SELECT count(*) FILTER (WHERE status = 'available') AS available, count(*) FILTER (WHERE status = 'in_use') AS busy
    FROM pools_agentprocess WHERE status <> 'ended' AND pod_id IN (SELECT id FROM taking)
)
SELECT (SELECT count(*) FROM taking),
    least((SELECT available FROM processes), (
        SELECT count(*) FROM pools_room
        WHERE status = 'available' AND expires_at > statement_timestamp() + make_interval(secs => %(life)s)
    )),
    (SELECT coalesce(sum(max_processes), 0) FROM taking) - (SELECT busy FROM processes),
    (SELECT count(*) FROM pools_voicesession WHERE status = 'waiting'),
    (SELECT count(*) FROM leads_lead WHERE status = 'PROCESSING'
     AND execution_mode IN ('TELEPHONY', 'TELEPHONY_TEST') AND platform_status = '')"""


@dataclass(frozen=True)
class DiallingConfig:
    """Settings of the dialler.

    `reserve`: what is left to web callers; `at_once`: how many pairs may wait for their dials; `caller_id`: the number
    that callees see, empty for any.
    """

    reserve: Reserve
    at_once: int
    session_life: timedelta
    caller_id: str = ""


def begin_calls(config: DiallingConfig, guards: Guards) -> tuple[int, float]:
    """Give sessions to the leads whose turn it is.

    Returns how many, and in how many seconds another call may begin without any other event.
    """
    first_look = look(config, guards)
    if not first_look.turns:
        return 0, first_look.wait
    with transaction.atomic():
        advisory_locks.wait_for(Lock.DIALLING)
        decided = look(config, guards)
        begun = begin(decided.turns, config)
    if begun:
        notifications.wake_supervisors()
    return begun, decided.wait


def begin(turns: Iterable[int], config: DiallingConfig) -> int:
    """Begin one call per entry of `turns` (template ids), if the template has a lead and a pair is found; return how
    many."""
    stored_tokens = DailyAccess.read().signer is None
    return sum(_begin(template, config, stored_tokens=stored_tokens) for template in turns)


def look(config: DiallingConfig, guards: Guards) -> Plan:
    """Read queues and capacity, and plan which templates get a call.

    A template with an error in it, such as an unknown time zone, is left out; the others go on.
    """
    with connection.cursor() as cursor:
        cursor.execute(QUEUES, [config.at_once])
        read = [guards.run(f"dialling for template {row[0]}", partial(_queue, *row)) for row in cursor.fetchall()]
        queues = [queue for queue in read if queue]
        if not queues:
            return plan([], Capacity(0, 0, 0), config.reserve, 0)
        cursor.execute(CAPACITY, {"lease": HANDOFF_LEASE.total_seconds(), "life": config.session_life.total_seconds()})
        capacity = Capacity(*(int(number) for number in cursor.fetchone()))
    return plan(queues, capacity, config.reserve, config.at_once)


def _queue(
    template: int, start: Any, end: Any, zone: str, limit: int | None, running: int, now: Any, due_in: Any, due: int
) -> Queue:
    opens_in = 0.0
    if start is not None:
        opens_in = (CallingWindow(start, end, time_zone(zone)).opens_at(now) - now).total_seconds()
    return Queue(template, due, float(due_in), opens_in, running, limit)


def _begin(template: int, config: DiallingConfig, *, stored_tokens: bool) -> bool:
    """Give a session to the first due lead of a template. Returns False if there is no such lead or no pair."""
    lead = _take_callable(template)
    if lead is None:
        return False
    try:
        with transaction.atomic():
            _give_session(lead, config, stored_tokens=stored_tokens)
    except (PoolExhausted, RoomNeeded):  # a web caller was faster
        return False
    except DATABASE_AWAY:
        raise
    except Exception as error:  # it concerns this lead only: the others go on
        Lead.objects.filter(pk=lead.pk).update(next_attempt_at=Now() + PUT_OFF)
        logger.error('event=lead_put_off lead=%s problem="%s"', lead.uuid, told(error))
        return False
    return True


def _give_session(lead: Lead, config: DiallingConfig, *, stored_tokens: bool) -> None:
    request = SessionRequest(
        body=bot_body.of_lead(lead),
        life=config.session_life,
        reference=lead.uuid,
        stored_tokens=stored_tokens,
        outbound=True,
    )
    session = claim(request)
    Lead.objects.filter(pk=lead.pk).update(
        status=LeadStatus.PROCESSING, voice_session=session, call_id=session.room.name, updated_at=Now()
    )


def _take_callable(template: int) -> Lead | None:
    """Lock and return the first due lead with a valid number; put aside those before it without one."""
    due = (
        Lead.objects.to_dial()
        .filter(template=template, next_attempt_at__lte=Now())
        .select_related("template")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("next_attempt_at")
    )
    for _ in range(UNCALLABLE_AT_ONCE):
        lead = due.first()
        if lead is None:
            return None
        number = lead.payload.get(phone_calls.NUMBER_KEY)
        if is_phone_number(number):
            return lead
        _put_aside(lead, missing=phone_calls.is_missing(number))
    return None


def _put_aside(lead: Lead, *, missing: bool) -> None:
    """Exclude a lead without a valid number from dialling, as published: one without any number stays in the backlog,
    with the reason; one with a wrong number is finished."""
    facts = phone_calls.never_dialled(phone_calls.INVALID_PHONE)
    values: dict[str, Any] = {
        "platform_status": facts.platform_status,
        "platform_reason": facts.platform_reason,
        "updated_at": Now(),
    }
    if not missing:
        values |= {"status": LeadStatus.FINISHED, "outcome": facts.outcome, "call_end_time": Now()}
    Lead.objects.filter(pk=lead.pk).update(**values)
    if not missing:
        outbox.lead_finished(Lead.objects.select_related("voice_session__room").get(pk=lead.pk))
    logger.warning("event=lead_not_dialled lead=%s reason=%s", lead.uuid, "no_number" if missing else "no_such_number")
