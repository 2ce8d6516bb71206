"""What operators do to single pods, rooms and agent processes, from the admin and from `manage.py pools`.

Each function updates rows with a guard and sends a NOTIFY; the pods obey. `by` names the operator; the log and an audit
row (OperatorAction) record who did what. Overrides about whole pools are in overrides.py, the end of a session is in
pools/sessions/ending.py.
"""

import logging
from collections.abc import Iterable
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pools.models import AgentProcess, OperatorAction, Pod, Room, StockStatus
from pools.notifications import announce_overrides
from pools.rooms.stock import RETIRED

logger = logging.getLogger(__name__)
T = TypeVar("T", Room, AgentProcess)


@transaction.atomic
def drain(pod: Pod, by: str) -> bool:
    """Take a pod out of service: it gets no sessions and keeps nothing ready; its calls go on.

    Returns False if it is draining already or has ended.
    """
    return _told("drain", pod, by, pod.take_out_of_service(by))


def leaves_none(pods: Iterable[Pod]) -> bool:
    """Whether draining these pods leaves no pod that takes sessions, though one does now."""
    taking = set(Pod.objects.taking().values_list("pk", flat=True))
    return bool(taking) and taking <= {pod.pk for pod in pods}


@transaction.atomic
def uncordon(pod: Pod, by: str) -> bool:
    """Bring a drained pod back into service. Returns False if no operator had drained it, or it has ended."""
    return _told("uncordon", pod, by, pod.bring_back())


def _told(verb: str, pod: Pod, by: str, done: bool) -> bool:
    if done:
        OperatorAction.note(by, f"{verb} pod {pod.name}")
        logger.info("event=operator verb=%s pod=%s by=%r", verb, pod.name, by)
        announce_overrides()
    return done


@transaction.atomic
def retire_rooms(rooms: QuerySet[Room], by: str) -> int:
    """Replace available rooms, a few at a time, so that the pool never runs empty. Returns how many.

    Rooms that belong to no pod in service end at once, because no pod would replace them.
    """
    ended = (
        Room.objects.available()
        .filter(pk__in=_keys(rooms))
        .exclude(pod__in=Pod.objects.taking())
        .update(status=StockStatus.ENDED, ended_at=Now(), end_reason=RETIRED)
    )
    return _replace("retire", Room.objects.available().filter(pk__in=_keys(rooms)), by, done=ended)


@transaction.atomic
def recycle_processes(processes: QuerySet[AgentProcess], by: str) -> int:
    """Replace available agent processes, a few at a time. Returns how many."""
    return _replace("recycle", AgentProcess.objects.available().filter(pk__in=_keys(processes)), by)


def _keys(rows: QuerySet[T]) -> QuerySet[T]:
    return rows.order_by().values("pk")  # type: ignore[return-value]


def _replace(verb: str, stock: QuerySet[T], by: str, done: int = 0) -> int:
    """Mark the rows for replacement. Returns how many, plus those that are `done` already."""
    number = done + stock.update(retiring=True)
    if number:
        meta = stock.model._meta
        OperatorAction.note(by, f"{verb} {number} {meta.verbose_name if number == 1 else meta.verbose_name_plural}")
    logger.info("event=operator verb=%s rows=%d by=%r", verb, number, by)
    announce_overrides()
    return number
