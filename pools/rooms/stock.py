"""The rows of a pod's stock of rooms: counted, adopted, written for new ones, ended. Nothing here asks Daily."""

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools.daily.room_names import room_name
from pools.decisions import planner
from pools.models import Pod, Room, StockStatus
from pools.models.stock import RoomQuerySet
from pools.supervisor_config import SupervisorConfig

RETIRED = "retired by an operator"
RETIRE_MARGIN = timedelta(seconds=60)  # longer than from one full poll to the next (planner.LONGEST_FULL_POLL_S)
# Asked at every turn of the loop: SQL, because building the ORM's statement costs more than running it.
COUNT_STOCK = """
SELECT count(*) FILTER (WHERE status = 'warming'), count(*) FILTER (WHERE status = 'available'),
count(*) FILTER (WHERE status = 'available'
    AND (retiring OR expires_at <= statement_timestamp() + make_interval(secs => %s)))
FROM pools_room WHERE pod_id = %s AND NOT reserved AND status IN ('warming', 'available')"""


class RoomStock:
    def __init__(self, config: SupervisorConfig, pod: Pod) -> None:
        self._config = config
        self._pod = pod
        self.life_needed = timedelta(seconds=config.session_limit) + RETIRE_MARGIN  # less is near its end

    def count(self) -> tuple[int, int, int]:
        """Ours: warming, available, and how many of the available are to be replaced."""
        with connection.cursor() as cursor:
            cursor.execute(COUNT_STOCK, [self.life_needed.total_seconds(), self._pod.pk])
            warming, available, old = cursor.fetchone()
        return warming, available, old

    def shortfall(self, target: int, *, warming: int, available: int) -> int:
        return planner.shortfall(target=target, cap=self._config.room_cap, warming=warming, available=available)

    def reserve_names(self, target: int) -> list[Room]:
        """Adopt rooms that no pod counts, then write rows for the rest, which Daily is to be asked for; pods and
        requests take their turns, so that the stock is never above the caps."""
        expires_at = datetime.now(UTC) + timedelta(seconds=self._config.room_life)
        with transaction.atomic():
            advisory_locks.wait_for(Lock.ROOM_STOCK)
            warming, available, _ = self.count()
            missing = self.shortfall(target, warming=warming, available=available)
            adoptable = Room.objects.available().filter(pod=None).lasting(self.life_needed)
            adopted = list(
                adoptable.select_for_update(skip_locked=True).order_by("-id").values_list("pk", flat=True)[:missing]
            )
            Room.objects.filter(pk__in=adopted).update(pod=self._pod)
            return Room.objects.bulk_create(
                Room(
                    name=room_name(self._config.room_prefix),
                    pod=self._pod,
                    recorded=self._config.room_recording,
                    expires_at=expires_at,
                )
                for _ in range(missing - len(adopted))
            )

    def retire(self, number: int) -> int:
        near_its_end = Q(expires_at__lte=Now() + self.life_needed)
        old = Room.objects.available().filter(Q(retiring=True) | near_its_end)
        return self._end(old, number, Case(When(retiring=True, then=Value(RETIRED)), default=Value("near its end")))

    def end_surplus(self, number: int) -> int:
        return self._end(Room.objects.available(), number, "above the target")

    def _end(self, rooms: RoomQuerySet, number: int, reason: str | Case) -> int:
        """Our oldest of these, but none that a claim is taking; how many."""
        ours = rooms.filter(pod=self._pod).select_for_update(skip_locked=True).order_by("id")
        with transaction.atomic():
            chosen = list(ours.values_list("pk", flat=True)[:number])
            return Room.objects.filter(pk__in=chosen).update(
                status=StockStatus.ENDED, ended_at=Now(), end_reason=reason
            )

    def leave_to_others(self) -> None:
        """What is in stock is given out and adopted as if this pod were gone."""
        Room.objects.available().filter(pod=self._pod).update(pod=None)
