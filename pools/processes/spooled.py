"""Reports of calls whose supervisor has died: taken in by the next one on the same host."""

import logging
import uuid
from collections.abc import Set
from functools import partial
from pathlib import Path

from django.db import transaction

from pools.agent import spool
from pools.guards import Guards
from pools.models import SessionStatus, VoiceSession
from pools.sessions import owner
from pools.sessions.ending import NEVER_IN, Result, end_session, hand_off_failed

logger = logging.getLogger(__name__)


def take_in(directory: Path | None, own: Set[str], guards: Guards) -> int:
    """Store the reports of sessions whose pod is gone; returns how many such calls still run on this host.

    `own`: sessions in the hands of this pod, which hears of their end from the processes themselves.
    """
    running = 0
    if directory is None:
        return running
    for report in spool.spooled_reports(directory):
        if report.session not in own:
            taking = partial(_take_in_one, report)
            running += bool(guards.run(f"taking in report {report.path.name}", taking))
    return running


def _take_in_one(report: spool.SpooledReport) -> bool:
    """Whether its call still runs, without a supervisor."""
    session = (
        VoiceSession.objects.select_related("agent_process__pod").filter(uuid=report.session).first()
        if _is_uuid(report.session)
        else None
    )
    process = session.agent_process if session else None
    if process and process.pod.ended_at is None:
        return False  # its supervisor lives and is told by the process itself
    if report.running:
        return True
    if session and session.attempt == report.attempt:
        _store(session, report)
        if process:
            process.end("session over")
    report.path.unlink(missing_ok=True)
    return False


def _store(session: VoiceSession, report: spool.SpooledReport) -> None:
    ended = report.ended
    result = Result("agent_lost", detail={"problem": "the process died after its supervisor"})
    if ended:
        result = Result.of(ended)
    if session.status == SessionStatus.ACTIVE and session.bot_joined_at is None and ended and ended.reason in NEVER_IN:
        problem = ended.error or ended.reason
        hand_off_failed(session.pk, session.attempt, problem, hopeless=ended.no_room)
    elif session.status == SessionStatus.ACTIVE:
        end_session(session.pk, result)
    elif ended and session.end_reason == "supervisor_lost":
        with transaction.atomic():  # once: afterwards the reason is another
            completed = VoiceSession.objects.filter(pk=session.pk, end_reason="supervisor_lost").update(
                end_reason=result.reason[:100],
                outcome=result.outcome[:50],
                transcript=result.transcript,
                detail=result.detail,
                never_spoke=result.never_spoke,
                never_heard=result.never_heard,
            )
            if completed:
                session.refresh_from_db()
                owner.session_ended(session)
        logger.info("event=late_report session=%s completed=%s", session.uuid, bool(completed))


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
