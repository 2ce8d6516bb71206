"""What operators can do to rows, in one table: who may, to which, and what it does. The admin asks for
confirmation (pools.dashboard.steer_view) and records who did what; `pools.operators.steering` does it, as for
`manage.py pools`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from pools.models import AgentProcess, Pod, PoolOrder, Rollout, Room, SessionStatus, StockStatus, VoiceSession
from pools.operators import orders, rollout, steering
from pools.sessions.ending import end_for_operator


@dataclass(frozen=True)
class Verb:
    """`perform(row, by)`: False if somebody was faster."""

    name: str
    label: str
    icon: str
    done: str  # the past, for the audit log
    model: type[Model]
    effect: str
    applies: Callable[[Any], bool]
    perform: Callable[[Any, str], bool]
    dangerous: bool = False
    warning: Callable[[Sequence[Any]], str] = lambda rows: ""  # about those to which it applies

    @property
    def permission(self) -> str:
        return f"{self.model._meta.app_label}.{get_permission_codename('change', self.model._meta)}"

    def may(self, user: Any) -> bool:
        return bool(user.has_perm(self.permission))

    def url(self, keys: Sequence[int], back: str = "") -> str:
        """Of the page that asks for confirmation. `back`: name of the page to return to; default: the list."""
        query = {"ids": ",".join(map(str, keys))} | ({"back": back} if back else {})
        return f"{reverse('admin:steer', args=[self.name])}?{urlencode(query)}"


def _end(session: VoiceSession, by: str) -> bool:
    before = session.status
    asked = end_for_operator(session.uuid, by)
    return asked is not None and before != SessionStatus.ENDED


def _leaves_none(pods: Sequence[Pod]) -> str:
    if not steering.leaves_none(pods):
        return ""
    these = "This is the only pod" if len(pods) == 1 else "These are the only pods"
    return f"{these} in service: callers will get 503."


_ALL = (
    Verb(
        "drain",
        "Drain",
        "logout",
        "drained",
        Pod,
        "The pod is given no more sessions and keeps no stock; other pods adopt its rooms. Its calls go on to their "
        "end. It stays out of service until you undrain it.",
        lambda pod: pod.ended_at is None and not pod.draining,
        steering.drain,
        dangerous=True,
        warning=_leaves_none,
    ),
    Verb(
        "undrain",
        "Undrain",
        "login",
        "undrained",
        Pod,
        "The pod fills its pools again and takes sessions.",
        lambda pod: pod.ended_at is None and bool(pod.drained_by),
        steering.undrain,
    ),
    Verb(
        "retire",
        "Retire",
        "autorenew",
        "retired",
        Room,
        "The rooms are replaced by new ones, a few at a time so that the pool does not run dry, and deleted at Daily. "
        "Until its turn comes a room may still be given out. Rooms in a session are not touched.",
        lambda room: room.status == StockStatus.AVAILABLE and not room.retiring,
        lambda room, by: steering.retire_rooms(Room.objects.filter(pk=room.pk), by) == 1,
        dangerous=True,
    ),
    Verb(
        "recycle",
        "Recycle",
        "autorenew",
        "recycled",
        AgentProcess,
        "Idle processes are replaced by new ones, a few at a time so that the pool does not run dry. Those in a "
        "session are not touched: they end with it anyway.",
        lambda process: process.status == StockStatus.AVAILABLE and not process.retiring,
        lambda process, by: steering.recycle_processes(AgentProcess.objects.filter(pk=process.pk), by) == 1,
        dangerous=True,
    ),
    Verb(
        "end-session",
        "End",
        "call_end",
        "ended",
        VoiceSession,
        "The call ends for its caller, its room is deleted at Daily, and the lead is FINISHED.",
        lambda session: session.status != SessionStatus.ENDED and not session.stop_reason,
        _end,
        dangerous=True,
    ),
    Verb(
        "cancel",
        "Cancel",
        "cancel",
        "cancelled",
        PoolOrder,
        "The order ends now. A pause is lifted, a size goes back to what it was before, a reservation is released.",
        lambda order: order.cancelled_at is None and (order.ends_at is None or order.ends_at > timezone.now()),
        lambda order, by: orders.cancel(order.uuid, by=by),
    ),
    Verb(
        "roll-back",
        "Roll back",
        "undo",
        "rolled back",
        Rollout,
        "Calls go to the versions as they did before this roll-out, from the next one on. Calls that go on are not "
        "touched.",
        lambda made: made == rollout.standing(),
        lambda made, by: rollout.roll_back(by=by, only=made) is not None,
        dangerous=True,
    ),
)
VERBS = {verb.name: verb for verb in _ALL}
