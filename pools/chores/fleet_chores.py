"""What one pod does for all: delete rooms at Daily, look for calls that have lost their pod, reconcile with Daily.

The oldest live pod does it; for a moment two may, which does no harm: every step is guarded or idempotent. Clean-up
comes last in Daily's budget.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from ulid import ULID

from pools import notifications
from pools.chores import reaper, retention
from pools.chores.daily_webhook import WebhookKeeper
from pools.chores.room_deletion import RoomDeletion
from pools.daily import budget, refusals
from pools.daily.client import DailyClient
from pools.daily.errors import DailyError
from pools.guards import Guards, one_by_one
from pools.http_calls import HttpCalls
from pools.models import HANDOFF_LEASE, REAP_LEASE, Pod, Room, StockStatus, VoiceSession
from pools.rooms.names import is_ours
from pools.sessions import daily_events, tally
from pools.sessions.ending import OnSessionEnded
from pools.status import sampling
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

PRESENCE_S = 15.0  # Daily's own data is that old
RECONCILE_S = 300.0
GRACE = timedelta(minutes=10)
RETRY_S = 5.0
TIDY_S = 60.0


@dataclass
class Due:
    """When a chore comes round again, on the supervisor's clock."""

    at: float = 0.0

    def take(self, now: float, pause: float) -> bool:
        if now < self.at:
            return False
        self.at = now + pause
        return True


class Chores:
    def __init__(
        self,
        config: SupervisorConfig,
        pod: Pod,
        client: DailyClient,
        calls: HttpCalls,
        on_session_ended: OnSessionEnded,
        guards: Guards | None = None,
    ) -> None:
        self._guards = guards or Guards()
        self._config = config
        self._pod = pod
        self._client = client
        self._calls = calls
        self._on_session_ended = on_session_ended
        self.pods = 1  # alive, as of the last look
        self.are_ours = False  # as of the last look
        self._oldest: tuple[int, str] | None = None  # that we know of
        self._results: deque[Callable[[], None]] = deque()  # database work that a finished call leaves
        self._presence_due, self._tidy_due = Due(), Due()
        self._sample_due = Due()
        self._reconcile_due: Due | None = None
        self._reconciling = False
        self._deletion = RoomDeletion(client, calls)
        self._webhook = WebhookKeeper(config, client, calls)

    def run(self, now: float, *, steady: float, daily_works: bool) -> None:
        """One look at everything. `steady`: seconds for which our own heartbeats have been in time; others are judged
        by a lease only after as long a time."""
        live = list(Pod.objects.live().order_by("pk").values_list("pk", "name"))
        self.pods = len(live)
        self.are_ours = bool(live) and live[0][0] == self._pod.pk
        if not self.are_ours:
            self._tell_the_oldest(live)
            return
        self._reap(steady)
        if self._sample_due.take(now, sampling.INTERVAL_S):
            self._guards.run("taking samples", sampling.take_sample)
        if self._tidy_due.take(now, TIDY_S):
            self._tidy(now)
        if daily_works:
            self._guards.run("deleting rooms", partial(self._deletion.tend, now))
            self._guards.run("looking after abandoned calls", partial(self._look_after_abandoned_calls, now))
            self._guards.run("reconciling with Daily", partial(self._reconcile, now))
            self._guards.run("looking after Daily's webhook", partial(self._webhook.tend, now))

    def _reap(self, steady: float) -> None:
        ended, run = self._on_session_ended, self._guards.run
        if steady > HANDOFF_LEASE.total_seconds():
            run("taking back sessions", partial(reaper.take_back_unacknowledged, ended))
        if steady > REAP_LEASE.total_seconds():
            run("reaping pods", partial(reaper.reap_lost_pods, ended, but=self._pod))
        run("reaping reserved rooms", reaper.reap_reserved_rooms)
        run("ending overdue sessions", partial(reaper.end_overdue_waiting, self._config.waiting_timeout, ended))
        left_alone = partial(daily_events.end_left_alone, self._config.caller_return_timeout, ended)
        run("ending bots that were left alone", left_alone)

    def _tidy(self, now: float) -> None:
        run = self._guards.run
        run("forgetting old calls to Daily", budget.forget_old_slots)
        run("forgetting old events of Daily", daily_events.forget_old)
        run("forgetting old samples", sampling.forget_old)
        run("forgetting old refusals", refusals.forget_old)
        reaped = Pod.objects.exclude(ended_at=None)  # what was written by one that did not know it was reaped
        run("releasing rooms", partial(reaper.release_rooms, reaped))
        run("retiring surplus rooms", self._retire_unowned)
        if run("deleting ended rows", partial(retention.delete_ended, self._config.retention_days)):
            self._tidy_due.at = now  # there is more

    def _tell_the_oldest(self, live: list[tuple[int, str]]) -> None:
        """In a large fleet it looks seldom, and may not know yet that the one before it has gone."""
        if live and live[0] != self._oldest:
            self._oldest = live[0]
            notifications.hand_over_chores(live[0][1])

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
            unowned.update(status=StockStatus.ENDED, ended_at=Now(), end_reason="surplus")

    # --- calls without a pod ------------------------------------------------------------------------------

    def _look_after_abandoned_calls(self, now: float) -> None:
        if now < self._presence_due.at:
            return
        sessions = reaper.abandoned_calls()
        if not sessions or not budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP):
            return
        self._presence_due.at = now + PRESENCE_S

        def done(presence: dict[str, list[dict[str, Any]]] | None, error: DailyError | None) -> None:
            if presence is not None:
                self._results.append(lambda: self._end_abandoned(sessions, presence))

        self._calls.submit(self._client.presence, done)

    def _end_abandoned(self, sessions: list[VoiceSession], presence: dict[str, list[dict[str, Any]]]) -> None:
        present = {str(person.get("userId")) for people in presence.values() for person in people}
        reaper.end_abandoned_calls(sessions, present, self._config.join_timeout + PRESENCE_S, self._on_session_ended)

    # --- reconcile ----------------------------------------------------------------------------------------

    def _reconcile(self, now: float) -> None:
        """Compare with Daily's list: what it has and we don't know is deleted after a grace time; what we offer and
        it has not is retired. Rooms with other names are never touched."""
        if self._reconcile_due is None:
            self._reconcile_due = Due(now + RETRY_S)  # not in the rush of the start
        if self._reconciling or not self._reconcile_due.take(now, RECONCILE_S):
            return
        if not budget.take(budget.Group.GENERAL, budget.Priority.CLEAN_UP, 2):
            self._reconcile_due.at = now + RETRY_S
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
        self._calls.submit(job, done)

    @transaction.atomic
    def _reconciled(self, listed: set[str], occupied: set[str], asked_at: datetime) -> None:
        with connection.cursor() as cursor:  # two pods at once would both count what one of them has found
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reconcile'))")
        vanished = (
            Room.objects.available()
            .filter(available_at__lt=asked_at - timedelta(seconds=PRESENCE_S))
            .exclude(name__in=listed)
        )
        retired = vanished.update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="not known to Daily", deleted_at=Now()
        )
        back = Room.objects.filter(name__in=listed, deleted_at__lt=asked_at - timedelta(seconds=PRESENCE_S))
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
        tally.count_events(tally.Event.LEAK_ROOM_UNKNOWN_TO_DAILY, retired)
        tally.count_events(tally.Event.LEAK_ROOM_UNKNOWN_HERE, len(strangers))
        tally.count_events(tally.Event.LEAK_ROOM_BACK_AFTER_DELETION, again)
        if retired or strangers or again:
            logger.warning(
                "event=reconciled retired=%d found_unknown=%d deleted_again=%d", retired, len(strangers), again
            )


def _age(name: str, now: datetime) -> timedelta:
    """A name of ours holds the time of its making."""
    return now - ULID.from_str(name.rpartition("-")[2].upper()).datetime
