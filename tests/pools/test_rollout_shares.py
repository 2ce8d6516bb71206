"""The arithmetic of shares: every number has one version, and what people write is read back."""

import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pools import shares
from tests.support.properties import REPEATABLE

TWO_DECIMALS = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)


@st.composite
def some_shares(draw: Any) -> shares.Shares:
    """One to five versions, together at most 100 %."""
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=5)))
    parts = [(high - low) / 100 for low, high in zip([0, *cuts], cuts, strict=False)]
    return {f"v{number}": part for number, part in enumerate(parts)}


@REPEATABLE
@given(some_shares(), st.floats(0, 1, exclude_max=True))
def test_each_number_prefers_one_version_or_the_rest_and_never_two(wanted, number):
    preferred = [
        version for version in [*wanted, "another"] if shares.prefers(number, shares.interval(version, wanted))
    ]
    assert len(preferred) == 1


@REPEATABLE
@given(some_shares())
def test_an_interval_is_as_long_as_the_share_and_words_are_read_back(wanted):
    for version, percent in wanted.items():
        low, high = shares.interval(version, wanted) or (0, 0)
        assert high - low == pytest.approx(percent / 100, abs=1e-9)
    assert shares.parse([f"{version}={percent:.2f}%" for version, percent in wanted.items()]) == wanted


def test_the_numbers_of_sessions_are_spread_evenly():
    """Each tenth gets its tenth; 6.6 deviations because there are ten chances to be off."""
    number = 30_000
    tenths = Counter(int(shares.draw(uuid.uuid4()) * 10) for _ in range(number))
    deviation = (number * 0.1 * 0.9) ** 0.5
    assert all(abs(tenths[tenth] - number / 10) < 6.6 * deviation for tenth in range(10)), tenths


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["2.3=101"], "a share is a number from 0 to 100"),
        (["2.3=-1"], "a share is a number from 0 to 100"),
        (["2.3=many"], "a share is a number from 0 to 100"),
        (["2.3=1e1"], "a share is a number from 0 to 100"),
        (["2.3="], "a share is a number from 0 to 100"),
        (["=10"], "names no version"),
        (["2.3=10", "2.3=20"], "named twice"),
        (["2.3=60%", "2.2=60%"], "together the shares are 120 %"),
        (["x" * 101], "at most 100 characters"),
    ],
)
def test_shares_that_cannot_be_are_refused_with_what_can(words, problem):
    with pytest.raises(shares.BadShares, match=problem):
        shares.parse(words)


def test_shares_in_the_words_of_people():
    assert shares.parse(["2.3=10%", "a=b = 2.5"]) == {"2.3": 10.0, "a=b": 2.5}
    assert shares.parse(["2.3"]) == {"2.3": 100.0}
    assert shares.in_words({"2.3": 10.0, "2.2": 0.5}) == "2.3 10 %, 2.2 0.5 %, the others 89.5 %"
    assert shares.in_words({"2.3": 100.0}) == "2.3 100 %"
