"""Ended rows are deleted after a while, in batches, so that no transaction is long and no table grows for ever.

A room or process that served a session goes after its session, counters of a version after its last pod. Leads
are the callers' and stay; they only lose the link to a session that is gone. Only the oldest rows are looked at: a
table in which nothing is due would otherwise be read from end to end each time.
"""

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VersionCounter, VoiceSession

BATCH = 1000


def delete_ended(days: int, *, batch: int = BATCH) -> bool:
    """One batch of each kind, oldest first; whether there may be more. Rooms not yet deleted at Daily stay."""
    if days == 0:
        return False
    before = Now() - timedelta(days=days)
    more = [
        _delete(VoiceSession.objects.filter(status=SessionStatus.ENDED, ended_at__lt=before), batch),
        _delete(
            Room.objects.filter(
                status=StockStatus.ENDED, ended_at__lt=before, deleted_at__isnull=False, voice_session=None
            ),
            batch,
        ),
        _delete(AgentProcess.objects.filter(status=StockStatus.ENDED, ended_at__lt=before, voice_session=None), batch),
        _delete(Pod.objects.filter(ended_at__lt=before, agent_processes=None), batch),
    ]
    VersionCounter.objects.exclude(version__in=Pod.objects.order_by().values("version")).delete()
    return any(more)


def _delete(rows: QuerySet[VoiceSession] | QuerySet[Room] | QuerySet[AgentProcess] | QuerySet[Pod], batch: int) -> bool:
    """Of the oldest that have ended; whether it was worth looking at the next ones."""
    every = rows.model._default_manager
    oldest = list(every.filter(ended_at__isnull=False).order_by("pk").values_list("pk", flat=True)[:batch])
    keys = list(rows.filter(pk__in=oldest).values_list("pk", flat=True))
    every.filter(pk__in=keys).delete()
    return len(oldest) == batch and bool(keys)
