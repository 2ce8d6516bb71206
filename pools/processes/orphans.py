"""What ended pods have left on this host: processes that nobody else will end, and reports of calls in the spool.

An agent and a zygote see the end of their supervisor and go by themselves; one that is frozen (SIGSTOP, a debugger)
sees nothing. Processes are found by what the kernel says about them, not by pids in rows: a pid may be a stranger's by
now. Calls that go on without their pod are let alone, and so is what belongs to a pod that we do not know (another
database's).
"""

import logging
import uuid
from collections.abc import Set
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from pools.agent import spool
from pools.guards import Guards
from pools.kernel.process_table import pods_processes
from pools.models import AgentProcess, Pod, SessionStatus, VoiceSession
from pools.sessions import owner
from pools.sessions.ending import NEVER_IN, Result, end_session, hand_off_failed

logger = logging.getLogger(__name__)

GRACE = timedelta(seconds=10)  # by then all that end by themselves have ended, last words included


def end_processes(own: Pod) -> int:
    """Kill what ended pods have left running; returns how many processes."""
    found = [process for process in pods_processes() if process.pod != str(own.uuid)]
    if not found:
        return 0
    pods = Pod.objects.filter(uuid__in={process.pod for process in found}, ended_at__lt=Now() - GRACE)
    over = {str(uuid) for uuid in pods.values_list("uuid", flat=True)}
    lately = Q(voice_session__status=SessionStatus.ACTIVE) | Q(ended_at__gt=Now() - GRACE)
    spared = {
        (str(pod), pid)
        for pod, pid in AgentProcess.objects.filter(lately, pod__uuid__in=over).values_list("pod__uuid", "os_pid")
    }
    killed = 0
    for process in found:
        if process.pod in over and (process.pod, process.session) not in spared and process.kill():
            logger.warning("event=left_over_killed pid=%d its_pod=%s", process.pid, process.pod)
            killed += 1
    return killed


logger = logging.getLogger(__name__)


def take_in_reports(directory: Path | None, own: Set[str], guards: Guards) -> int:
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
