"""What operators do to pods, rooms and agent processes; the verbs of the admin and of `manage.py pools`.

Each is a guarded update of rows and a NOTIFY; the pods obey. For orders about whole pools see orders.py, for the end of
a session pools.sessions.ending. `by` is the operator; the log and a row (OperatorAct) say who did what.
"""

import logging
from collections.abc import Iterable
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pools.models import AgentProcess, OperatorAct, Pod, Room, StockStatus
from pools.notifications import announce_orders
from pools.rooms.stock import RETIRED

logger = logging.getLogger(__name__)
T = TypeVar("T", Room, AgentProcess)


@transaction.atomic
def drain(pod: Pod, by: str) -> bool:
    """Take a pod out of service: no more sessions, no stock; its calls go on. False: it drains already or is gone."""
    return _told("drain", pod, by, pod.take_out_of_service(by))


def leaves_none(pods: Iterable[Pod]) -> bool:
    """Whether no pod takes sessions any more once these are drained, though one does now."""
    taking = set(Pod.objects.taking().values_list("pk", flat=True))
    return bool(taking) and taking <= {pod.pk for pod in pods}


@transaction.atomic
def undrain(pod: Pod, by: str) -> bool:
    """Back into service. False: it was not taken out by an operator, or is gone."""
    return _told("undrain", pod, by, pod.bring_back())


def _told(verb: str, pod: Pod, by: str, done: bool) -> bool:
    if done:
        OperatorAct.note(by, f"{verb} pod {pod.name}")
        logger.info("event=operator verb=%s pod=%s by=%r", verb, pod.name, by)
        announce_orders()
    return done


@transaction.atomic
def retire_rooms(rooms: QuerySet[Room], by: str) -> int:
    """Replace rooms in stock, a few at a time, so that it never runs dry; those that no pod replaces end now. How
    many."""
    ended = (
        Room.objects.available()
        .filter(pk__in=_keys(rooms))
        .exclude(pod__in=Pod.objects.taking())
        .update(status=StockStatus.ENDED, ended_at=Now(), end_reason=RETIRED)
    )
    return _replace("retire", Room.objects.available().filter(pk__in=_keys(rooms)), by, done=ended)


@transaction.atomic
def recycle_processes(processes: QuerySet[AgentProcess], by: str) -> int:
    """Replace idle agent processes, a few at a time; those in a session end with it anyway. How many."""
    return _replace("recycle", AgentProcess.objects.available().filter(pk__in=_keys(processes)), by)


def _keys(rows: QuerySet[T]) -> QuerySet[T]:
    return rows.order_by().values("pk")  # type: ignore[return-value]


def _replace(verb: str, stock: QuerySet[T], by: str, done: int = 0) -> int:
    """How many, with those that are `done` already."""
    number = done + stock.update(retiring=True)
    if number:
        meta = stock.model._meta
        OperatorAct.note(by, f"{verb} {number} {meta.verbose_name if number == 1 else meta.verbose_name_plural}")
    logger.info("event=operator verb=%s rows=%d by=%r", verb, number, by)
    announce_orders()
    return number
