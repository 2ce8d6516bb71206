"""What each pod keeps in stock: overrides, demand and reservations within what it can hold, reckoned for the fleet."""

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from pools.decisions.targets import Action, Override, Place, Pool, missing, most_reserved, spread, targets
from tests.support.properties import REPEATABLE

DECISIONS = settings(REPEATABLE, max_examples=300)
AGENTS = Pool.AGENTS
FLEET = [Place("a", 3, 10), Place("b", 3, 10), Place("c", 3, 10)]


def sizes(overrides=(), places=FLEET, **values):
    return {pod: target.size for pod, target in targets(AGENTS, places, overrides, **values).items()}


def size_of(overrides, pod="a"):
    return targets(AGENTS, FLEET, overrides)[pod].size


def ordered(number, size, **values):
    return Override(number, Action.SIZE, AGENTS, size=size, **values)


def reserved(number, size, **values):
    return Override(number, Action.RESERVE, size=size, **values)


# --- examples ----------------------------------------------------------------------------------------------


def test_without_orders_and_demand_each_pod_has_its_configured_size():
    assert set(targets(AGENTS, FLEET, []).values()) == {targets(AGENTS, FLEET, [])["a"]}
    assert sizes() == {"a": 3, "b": 3, "c": 3}
    assert targets(AGENTS, FLEET, [])["a"].why == "configured"


def test_the_latest_size_in_force_counts_whether_for_one_pod_or_for_all():
    assert sizes([ordered(1, 7)]) == {"a": 7, "b": 7, "c": 7}
    assert sizes([ordered(1, 7), ordered(2, 1, pod="b")]) == {"a": 7, "b": 1, "c": 7}
    assert sizes([ordered(2, 1, pod="b"), ordered(3, 5)]) == {"a": 5, "b": 5, "c": 5}


def test_when_a_size_expires_the_one_before_it_counts_again():
    assert size_of([ordered(1, 7), ordered(2, 5, ends_in=0.1)]) == 5
    assert size_of([ordered(1, 7), ordered(2, 5, ends_in=0)]) == 7
    assert size_of([ordered(1, 7), ordered(2, 5, starts_in=0.1)]) == 7


def test_an_order_for_the_other_pool_changes_nothing():
    assert size_of([Override(1, Action.SIZE, Pool.ROOMS, size=9), Override(2, Action.PAUSE, Pool.ROOMS)]) == 3


def test_a_size_beyond_what_the_pod_can_hold_is_cut_and_says_so():
    target = targets(AGENTS, [Place("a", 3, 4)], [ordered(1, 9, words="by ann")])["a"]
    assert (target.size, target.why) == (4, "ordered by ann: 9, but only 4 can be held")


def test_a_paused_pool_makes_nothing_and_its_share_goes_to_the_others():
    overrides = [Override(1, Action.PAUSE, AGENTS, "b", words="by ann"), reserved(2, 18)]
    result = targets(AGENTS, FLEET, overrides)
    assert result["b"].paused and result["b"].size == 0 and result["b"].why == "paused by ann"
    assert (result["a"].size, result["c"].size) == (9, 9)


def test_a_reservation_is_levelled_over_the_pods_and_adds_up_exactly():
    assert sizes([reserved(1, 20)]) == {"a": 7, "b": 7, "c": 6}
    assert sizes([reserved(1, 20)], [Place("a", 3, 4), Place("b", 3, 10), Place("c", 9, 10)]) == {
        "a": 4,
        "b": 7,
        "c": 9,
    }


def test_reservations_at_one_time_add_up():
    assert sum(sizes([reserved(1, 12), reserved(2, 13)]).values()) == 25


def test_a_reservation_begins_early_and_ends_in_time():
    assert size_of([reserved(1, 30, starts_in=31)]) == 3
    assert size_of([reserved(1, 30, starts_in=30)]) == 10
    assert size_of([reserved(1, 30, starts_in=-600, ends_in=0)]) == 3


def test_one_that_follows_another_needs_no_more_while_both_are_in_view():
    assert sum(sizes([reserved(1, 20, ends_in=10), reserved(2, 20, starts_in=10)]).values()) == 20
    assert sum(sizes([reserved(1, 12, ends_in=10), reserved(2, 20, starts_in=10)]).values()) == 20


def test_what_the_fleet_cannot_hold_is_known():
    result = targets(AGENTS, FLEET, [reserved(1, 60)])
    assert missing(60, result) == 30 and {target.size for target in result.values()} == {10}


def test_demand_raises_the_pods_that_are_not_ordered_otherwise():
    assert sizes(demand=15) == {"a": 5, "b": 5, "c": 5}
    assert sizes([ordered(1, 2, pod="a")], demand=15) == {"a": 2, "b": 7, "c": 6}
    assert sizes(demand=4) == {"a": 3, "b": 3, "c": 3}


def test_the_most_that_is_reserved_at_one_time():
    assert most_reserved([], 0, 10) == 0
    assert most_reserved([(0, 5, 10), (5, 9, 20)], 0, 10) == 20
    assert most_reserved([(0, 6, 10), (5, 9, 20)], 0, 10) == 30
    assert most_reserved([(0, 6, 10), (5, 9, 20)], 6, 10) == 20
    assert most_reserved([(0, 6, 10)], 6, 10) == 0


# --- properties --------------------------------------------------------------------------------------------

numbers = st.integers(0, 100)
bounds = st.lists(st.tuples(numbers, numbers).map(sorted), max_size=12)


@DECISIONS
@given(bounds=bounds, total=st.integers(0, 1500))
def test_a_spread_is_exact_within_its_bounds_and_level(bounds, total):
    floors, caps = [low for low, _ in bounds], [high for _, high in bounds]
    result = spread(total, floors, caps)
    assert sum(result) == max(sum(floors), min(total, sum(caps)))
    assert all(low <= size <= high for low, size, high in zip(floors, result, caps, strict=True))
    raised = [size for low, size in zip(floors, result, strict=True) if size > low]
    could = [size for size, high in zip(result, caps, strict=True) if size < high]
    assert not raised or not could or max(raised) - min(could) <= 1


@DECISIONS
@given(bounds=bounds, total=st.integers(0, 1500), less=st.integers(0, 50))
def test_a_smaller_total_gives_nobody_more(bounds, total, less):
    floors, caps = [low for low, _ in bounds], [high for _, high in bounds]
    smaller = spread(total - less, floors, caps)
    assert all(a <= b for a, b in zip(smaller, spread(total, floors, caps), strict=True))


times = st.sampled_from([-inf, -5.0, 0.0, 5.0, 40.0, inf])
overrides = st.lists(
    st.builds(
        Override,
        number=st.integers(1, 99),
        action=st.sampled_from(Action),
        pool=st.sampled_from([None, *Pool]),
        pod=st.sampled_from(["", "a", "b", "z"]),
        size=numbers,
        starts_in=times,
        ends_in=times,
    ),
    max_size=6,
)
fleets = st.lists(
    st.builds(Place, pod=st.sampled_from("abcde"), size=numbers, capacity=numbers),
    unique_by=lambda place: place.pod,
    max_size=5,
)


@DECISIONS
@given(places=fleets, overrides=overrides, demand=st.integers(0, 600), pool=st.sampled_from(Pool))
def test_no_target_is_above_what_the_pod_can_hold_whatever_is_ordered(places, overrides, demand, pool):
    result = targets(pool, places, overrides, demand=demand)
    assert set(result) == {place.pod for place in places}
    assert all(0 <= result[place.pod].size <= place.capacity for place in places)


@DECISIONS
@given(places=fleets, overrides=overrides, demand=st.integers(0, 600), shuffled=st.randoms())
def test_every_pod_reckons_the_same(places, overrides, demand, shuffled):
    numbered = [Override(**{**vars(override), "number": number}) for number, override in enumerate(overrides)]
    expected = targets(AGENTS, places, numbered, demand=demand)
    shuffled.shuffle(places)
    shuffled.shuffle(numbered)
    assert targets(AGENTS, places, numbered, demand=demand) == expected


@DECISIONS
@given(places=fleets, total=st.integers(1, 600))
def test_what_can_be_held_is_reserved(places, total):
    result = targets(AGENTS, places, [reserved(1, total)])
    assert missing(total, result) == max(0, total - sum(place.capacity for place in places))
