"""Delete rooms at Daily that are over: many in one call, a few one by one, each paid for from the budget.

A call that Daily rejects says that it does not like one of the names, not which. So the next call takes half as many,
down to single ones; a name that is rejected alone is left for a while, and the others go on.
"""

import logging
from dataclasses import dataclass, field

from django.db.models.functions import Now

from pools.daily import budget
from pools.daily.client import MAX_BATCH, DailyClient
from pools.daily.errors import DailyError, DailyRejected
from pools.http_calls import Submit
from pools.models import Room

logger = logging.getLogger(__name__)

SINGLE_DELETES = 3  # more are deleted in one batch
RETRY_S = 5.0
REJECTED_S = 3600.0  # before a name that Daily rejects is tried again


@dataclass
class Outcome:
    """Of one job, by the names that it was about."""

    gone: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)


class RoomDeletion:
    def __init__(self, client: DailyClient, submit: Submit) -> None:
        self._client = client
        self._submit = submit
        self._due = 0.0
        self._under_way = False
        self._most = MAX_BATCH  # names in the next call
        self._left: dict[str, float] = {}  # names that Daily has rejected, and until when they are left alone
        self._gone: list[str] = []  # at Daily; our rows do not say so yet

    def tend(self, now: float) -> None:
        """The next call, if there is anything to delete and the budget has room for it."""
        if self._under_way or now < self._due:
            return
        self._left = {name: until for name, until in self._left.items() if until > now}
        undeleted = Room.objects.undeleted().exclude(name__in=self._left).order_by("pk")
        names = list(undeleted.values_list("name", flat=True)[: self._most])
        if not names:
            return
        if len(names) <= SINGLE_DELETES:
            if budget.take(budget.Group.DELETE, budget.Priority.CLEAN_UP, len(names)):
                self._ask(names, now, one_by_one=True)
        elif budget.take(budget.Group.BATCH, budget.Priority.CLEAN_UP):
            self._ask(names, now, one_by_one=False)

    def record(self) -> None:
        """Write what is gone at Daily."""
        if self._gone:
            Room.objects.undeleted().filter(name__in=self._gone).update(deleted_at=Now())
            logger.debug("event=rooms_deleted rooms=%d", len(self._gone))
            self._gone = []

    def _ask(self, names: list[str], now: float, *, one_by_one: bool) -> None:
        def done(outcome: Outcome | None, error: DailyError | None) -> None:
            self._under_way = False
            if outcome is None:
                self._due = now + RETRY_S
                logger.warning('event=delete_rooms_failed rooms=%d problem="%s"', len(names), error)
                return
            self._gone += outcome.gone
            if outcome.rejected and not one_by_one:
                self._most = max(SINGLE_DELETES, len(names) // 2)
                return
            self._most = min(MAX_BATCH, self._most * 2)
            self._left |= dict.fromkeys(outcome.rejected, now + REJECTED_S)
            if outcome.rejected:
                logger.warning("event=delete_rooms_rejected rooms=%s", ",".join(outcome.rejected))

        self._under_way = True
        self._submit(lambda: self._one_by_one(names) if one_by_one else self._together(names), done)

    def _one_by_one(self, names: list[str]) -> Outcome:
        outcome = Outcome()
        for name in names:
            try:
                self._client.delete_room(name)
            except DailyRejected:
                outcome.rejected.append(name)
            else:
                outcome.gone.append(name)
        return outcome

    def _together(self, names: list[str]) -> Outcome:
        try:
            self._client.delete_rooms(names)
        except DailyRejected:  # one of them is not to its liking
            return Outcome(rejected=names)
        return Outcome(gone=names)
