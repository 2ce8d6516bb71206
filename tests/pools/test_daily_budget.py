"""The shared budget: never above 90 % of a limit in any window, the urgent before the rest."""

import pytest
from django.db import connection, transaction
from django.db.models import F

from pools.daily import budget
from pools.daily.budget import Group, Priority, allowance, take
from pools.models import DailyBudgetSlot
from tests.pools.test_claims import in_threads


def test_at_most_nine_tenths_of_a_limit_may_be_used():
    assert allowance(Group.GENERAL, Priority.ON_DEMAND) == 90
    assert allowance(Group.GENERAL, Priority.REPLENISH) == 67
    assert allowance(Group.GENERAL, Priority.CLEAN_UP) == 45
    assert allowance(Group.BATCH, Priority.ON_DEMAND) == 9


def test_of_the_few_dials_none_is_spared_but_their_window_is_longer():
    assert allowance(Group.DIAL, Priority.ON_DEMAND) == 5
    assert Group.DIAL.value.window == pytest.approx(5.56, abs=0.01)


@pytest.mark.django_db
class TestTake:
    def test_grants_all_of_what_is_asked_for_or_nothing(self):
        assert take(Group.GENERAL, Priority.ON_DEMAND, 80)
        assert not take(Group.GENERAL, Priority.ON_DEMAND, 11)
        assert take(Group.GENERAL, Priority.ON_DEMAND, 10), "what was not granted is not spent"
        assert not take(Group.GENERAL, Priority.ON_DEMAND)

    def test_cleaning_up_stops_first_then_replenishing_and_creation_on_demand_last(self):
        take(Group.GENERAL, Priority.ON_DEMAND, 45)
        assert not take(Group.GENERAL, Priority.CLEAN_UP)
        assert take(Group.GENERAL, Priority.REPLENISH, 22)
        assert not take(Group.GENERAL, Priority.REPLENISH)
        assert take(Group.GENERAL, Priority.ON_DEMAND, 23)
        assert not take(Group.GENERAL, Priority.ON_DEMAND)

    def test_making_rooms_leaves_batches_for_deleting_them(self):
        assert take(Group.BATCH, Priority.REPLENISH, 4) and not take(Group.BATCH, Priority.REPLENISH)
        assert take(Group.BATCH, Priority.CLEAN_UP, 5) and not take(Group.BATCH, Priority.CLEAN_UP)

    def test_groups_have_budgets_of_their_own(self):
        take(Group.BATCH, Priority.ON_DEMAND, 9)
        assert not take(Group.BATCH, Priority.ON_DEMAND)
        assert take(Group.DELETE, Priority.ON_DEMAND)

    def test_what_has_left_the_window_may_be_used_again(self):
        take(Group.GENERAL, Priority.ON_DEMAND, 90)
        DailyBudgetSlot.objects.update(slot=F("slot") - budget.SLICES)
        assert not take(Group.GENERAL, Priority.ON_DEMAND), "the slice that the window cuts counts whole"
        DailyBudgetSlot.objects.update(slot=F("slot") - 2)
        assert take(Group.GENERAL, Priority.ON_DEMAND)

    def test_old_slices_are_forgotten(self):
        take(Group.GENERAL, Priority.ON_DEMAND)
        DailyBudgetSlot.objects.create(group="general", slot=1, used=5)
        budget.forget_old_slots()
        assert DailyBudgetSlot.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_pods_that_ask_at_once_share_one_budget():
    def greedy(_: int) -> int:
        return sum(take(Group.DELETE, Priority.ON_DEMAND) for _ in range(20))

    assert sum(in_threads(6, greedy)) == allowance(Group.DELETE, Priority.ON_DEMAND)


@pytest.mark.django_db(transaction=True)
def test_taking_holds_no_transaction_open():
    take(Group.GENERAL, Priority.ON_DEMAND)
    assert not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)
