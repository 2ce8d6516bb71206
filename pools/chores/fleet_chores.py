"""What one pod does for all: delete rooms at Daily, look for calls that have lost their pod, reconcile with Daily.

The oldest pod that can does it (pools/decisions/planner.py); for a moment two may, which does no harm: every step is
guarded or idempotent, and waits for no lock of others. Reaping is any pod's. Clean-up comes last in Daily's budget.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Extract, Now
from ulid import ULID

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools import notifications
from pools.chores import reaper, retention
from pools.chores.daily_webhook import WebhookKeeper
from pools.chores.room_deletion import RoomDeletion
from pools.chores.silence import Silence
from pools.chores.unlocked import keys_of_unlocked
from pools.daily import budget, refusals
from pools.daily.client import DailyClient
from pools.daily.errors import DailyError, DailyKeyRefused
from pools.daily.room_names import is_ours
from pools.decisions.planner import PodSeen, first_for_chores
from pools.guards import Guards, one_by_one
from pools.http_calls import Done, HttpCalls
from pools.models import HANDOFF_LEASE, Pod, Room, StockStatus, VoiceSession
from pools.sessions import counters, daily_events
from pools.status import sampling
from pools.supervisor_config import SupervisorConfig
from pools.timer import Timer

logger = logging.getLogger(__name__)

RECONCILE_S = 300.0
GRACE = timedelta(minutes=10)
RETRY_S = 5.0
TIDY_S = 60.0
SETTLE_S = 5.0
KEY_REFUSED_S = 30.0  # before a pod whose key Daily has refused says again that it can do the chores


class Chores:
    def __init__(
        self,
        config: SupervisorConfig,
        pod: Pod,
        client: DailyClient,
        calls: HttpCalls,
        guards: Guards | None = None,
    ) -> None:
        self._guards = guards or Guards()
        self._config = config
        self._pod = pod
        self._client = client
        self._calls = calls
        self.pods = 1  # alive, as of the last poll
        self.are_ours = False  # as of the last poll
        self._first: int | None = None  # that we know of
        self._silence = Silence()
        self._key_refused_until = 0.0
        self._results: deque[Callable[[], None]] = deque()  # database work that a finished call leaves
        self._presence_timer = Timer(config.timings.presence)
        self._settle_timer, self._tidy_timer = Timer(SETTLE_S), Timer(TIDY_S)
        self._sample_timer = Timer(sampling.INTERVAL_S)
        self._reconcile_timer: Timer | None = None
        self._reconciling = False
        self._deletion = RoomDeletion(client, self._submit)
        self._webhook = WebhookKeeper(config, client, self._submit)

    @property
    def key_works(self) -> bool:
        """Daily has not refused our key lately: after a rotation, draining pods have the former one."""
        return time.monotonic() >= self._key_refused_until

    def run(self, now: float, *, daily_works: bool) -> None:
        """Do what is due: reap, and if this pod is the one that does the chores, all others."""
        pods = _pods_seen()
        self._reap(now, [pod for pod in pods if pod.pk != self._pod.pk])
        live = [pod for pod in pods if pod.silent < HANDOFF_LEASE.total_seconds()]
        first = first_for_chores(live)
        self.pods = len(live)
        self.are_ours = first is not None and first.pk == self._pod.pk
        if first is None or not self.are_ours:
            self._tell(first)
            return
        self._first = first.pk
        self._keep_rows(now)
        if daily_works:
            self._call_daily(now)

    def _call_daily(self, now: float) -> None:
        for about, chore in (
            ("deleting rooms", self._deletion.tend),
            ("looking after abandoned calls", self._look_after_abandoned_calls),
            ("reconciling with Daily", self._reconcile),
            ("looking after Daily's webhook", self._webhook.tend),
        ):
            if self._calls.free:
                self._guards.run(about, partial(chore, now))

    def _reap(self, now: float, others: list[PodSeen]) -> None:
        """Any pod's chore: the one that does the others may be late, or the one that is lost."""
        run = self._guards.run
        self._silence.poll(now, others)
        if silent := self._silence.longer_than(HANDOFF_LEASE):
            pods = Pod.objects.silent().filter(pk__in=silent)
            run("taking back sessions", partial(reaper.take_back_unacknowledged, pods, self._guards))
        if lost := self._silence.longer_than(self._config.timings.reap_lease):
            pods = Pod.objects.lost().filter(pk__in=lost)
            run("reaping pods", partial(reaper.reap_lost_pods, pods, self._guards))

    def _keep_rows(self, now: float) -> None:
        run = self._guards.run
        of_ended = partial(reaper.take_back_unacknowledged, Pod.objects.ended(), self._guards)
        run("taking back sessions", of_ended)
        run("reaping reserved rooms", reaper.reap_reserved_rooms)
        overdue = partial(reaper.end_overdue_waiting, self._config.waiting_timeout, self._guards)
        run("ending overdue sessions", overdue)
        left_alone = partial(daily_events.end_left_alone, self._config.caller_return_timeout, self._guards)
        run("ending bots that were left alone", left_alone)
        if self._settle_timer.take(now):
            run("settling ended pods", partial(reaper.settle_ended_pods, self._guards))
        if self._sample_timer.take(now):
            self._guards.run("taking samples", sampling.take_sample)
        if self._tidy_timer.take(now):
            self._tidy(now)

    def _tidy(self, now: float) -> None:
        run = self._guards.run
        run("forgetting old calls to Daily", budget.forget_old_slots)
        run("forgetting old events of Daily", daily_events.forget_old)
        run("forgetting old samples", sampling.forget_old)
        run("forgetting old refusals", refusals.forget_old)
        run("retiring surplus rooms", self._retire_unowned)
        if run("deleting ended rows", partial(retention.delete_ended, self._config.retention_days)):
            self._tidy_timer.set_off()  # there is more

    def _tell(self, first: PodSeen | None) -> None:
        """In a large fleet it looks seldom, and may not know yet that the one before it has gone."""
        if first and first.pk != self._first:
            self._first = first.pk
            notifications.hand_over_chores(first.name)

    def _submit(self, job: Callable[[], Any], done: Done) -> None:
        """A call to Daily; that it refuses our key is kept, so that another pod does the chores."""

        def noticed(result: Any, error: DailyError | None) -> None:
            if isinstance(error, DailyKeyRefused):
                self._key_refused_until = time.monotonic() + KEY_REFUSED_S
            done(result, error)

        self._calls.submit(job, noticed)

    def record(self) -> None:
        """The database's part of what has come back from Daily."""
        one_by_one(self._results, lambda write: write(), "writing down what Daily has answered")
        self._guards.run("writing down deletions", self._deletion.record)
        self._guards.run("writing down the state of Daily's webhook", self._webhook.record)

    def _retire_unowned(self) -> None:
        """Rooms that no pod has wanted to adopt since the last look, because all are full."""
        unowned = Room.objects.available().filter(pod=None, available_at__lt=Now() - timedelta(seconds=TIDY_S))
        pods = list(Pod.objects.taking())
        stock = Room.objects.stock().filter(pod__in=pods).count()
        if pods and stock >= sum(pod.room_target for pod in pods):
            with transaction.atomic():
                Room.objects.filter(pk__in=keys_of_unlocked(unowned)).update(
                    status=StockStatus.ENDED, ended_at=Now(), end_reason="surplus"
                )

    # --- calls without a pod ------------------------------------------------------------------------------

    def _look_after_abandoned_calls(self, now: float) -> None:
        if not self._presence_timer.is_due(now):
            return
        sessions = reaper.abandoned_calls()
        if not sessions or not budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP):
            return
        self._presence_timer.restart(now)

        def done(presence: dict[str, list[dict[str, Any]]] | None, error: DailyError | None) -> None:
            if presence is not None:
                self._results.append(lambda: self._end_abandoned(sessions, presence))

        self._submit(self._client.presence, done)

    def _end_abandoned(self, sessions: list[VoiceSession], presence: dict[str, list[dict[str, Any]]]) -> None:
        present = {str(person.get("userId")) for people in presence.values() for person in people}
        settled = self._config.join_timeout + self._config.timings.presence
        reaper.end_abandoned_calls(sessions, present, settled, self._guards)

    # --- reconcile ----------------------------------------------------------------------------------------

    def _reconcile(self, now: float) -> None:
        """Compare with Daily's list: what it has and we don't know is deleted after a grace time; what we offer and
        it has not is retired. Rooms with other names are never touched."""
        if self._reconcile_timer is None:
            self._reconcile_timer = Timer(RECONCILE_S, due=now + RETRY_S)  # not in the rush of the start
        if self._reconciling or not self._reconcile_timer.take(now):
            return
        if not budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP, 2):
            self._reconcile_timer.put_off(now + RETRY_S)
            return
        asked_at = datetime.now(UTC)

        def job() -> tuple[set[str], set[str]]:
            listed = {room.name for room in self._client.rooms() if is_ours(room.name, self._config.room_prefix)}
            return listed, set(self._client.presence())

        def done(result: tuple[set[str], set[str]] | None, error: DailyError | None) -> None:
            self._reconciling = False
            if result is not None:
                self._results.append(lambda: self._reconciled(*result, asked_at))

        self._reconciling = True
        self._submit(job, done)

    @transaction.atomic
    def _reconciled(self, listed: set[str], occupied: set[str], asked_at: datetime) -> None:
        advisory_locks.wait_for(Lock.RECONCILE)  # two pods at once would both count what one of them has found
        settled = asked_at - timedelta(seconds=self._config.timings.presence)
        vanished = Room.objects.available().filter(available_at__lt=settled).exclude(name__in=listed)
        retired = vanished.update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="not known to Daily", deleted_at=Now()
        )
        back = Room.objects.filter(name__in=listed, deleted_at__lt=settled)
        again = back.update(deleted_at=None)  # made by a call that came after the deletion
        known = set(Room.objects.filter(name__in=listed).values_list("name", flat=True))
        strangers = [name for name in listed - known - occupied if _age(name, asked_at) > GRACE]
        Room.objects.bulk_create(
            [
                Room(
                    name=name,
                    status=StockStatus.ENDED,
                    expires_at=asked_at,
                    ended_at=asked_at,
                    end_reason="found at Daily, unknown here",
                )
                for name in strangers
            ],
            ignore_conflicts=True,
        )
        counters.count_events(counters.Event.LEAK_ROOM_UNKNOWN_TO_DAILY, retired)
        counters.count_events(counters.Event.LEAK_ROOM_UNKNOWN_HERE, len(strangers))
        counters.count_events(counters.Event.LEAK_ROOM_BACK_AFTER_DELETION, again)
        if retired or strangers or again:
            logger.warning(
                "event=reconciled retired=%d found_unknown=%d deleted_again=%d", retired, len(strangers), again
            )


def _pods_seen() -> list[PodSeen]:
    seconds = Extract(Now() - F("heartbeat_at"), "epoch")
    columns = "pk", "name", "heartbeat_at", "silent", "draining", "can_do_chores"
    rows = Pod.objects.current().order_by("pk").annotate(silent=seconds).values_list(*columns)
    return [PodSeen(pk, name, at, float(silent), draining, can) for pk, name, at, silent, draining, can in rows]


def _age(name: str, now: datetime) -> timedelta:
    """A name of ours holds the time of its making."""
    return now - ULID.from_str(name.rpartition("-")[2].upper()).datetime
