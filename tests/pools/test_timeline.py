"""The timeline is arithmetic on moments: no gaps, no negative times, the longest step named."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pools.sessions.timeline import Moment, Moments, slowest, time_to, timeline

T = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def after(ms: float) -> datetime:
    return T + timedelta(milliseconds=ms)


WARM = Moments(
    claim=T,
    before_claim_ms=6,
    process=T,
    handoff=after(2),
    acknowledged=after(5),
    bot_joined=after(180),
    caller_joined=after(90),
    first_audio=after(700),
    end=after(60_000),
)


def test_steps_follow_each_other_from_the_request_to_the_end():
    steps = timeline(WARM)
    assert [step.moment for step in steps] == [
        Moment.REQUEST,
        Moment.CLAIM,
        Moment.PROCESS,
        Moment.HANDOFF,
        Moment.ACKNOWLEDGED,
        Moment.CALLER_JOINED,
        Moment.BOT_JOINED,
        Moment.FIRST_AUDIO,
        Moment.END,
    ]
    assert [round(step.end_ms) for step in steps] == [0, 6, 6, 8, 11, 96, 186, 706, 60_006]
    assert time_to(Moment.ACKNOWLEDGED, steps) == 11


def test_the_longest_step_is_one_of_ours_not_the_call():
    steps = timeline(WARM)
    longest = slowest(steps)
    assert longest and longest.moment == Moment.BOT_JOINED


def test_a_room_made_on_demand_is_its_own_step():
    steps = timeline(Moments(claim=T, before_claim_ms=300, room_asked=after(-290)))
    assert [(step.moment, round(step.ms)) for step in steps] == [
        (Moment.REQUEST, 0),
        (Moment.ROOM_ASKED, 10),
        (Moment.CLAIM, 290),
    ]
    assert steps[-1].what == "Daily made the room on demand"


def test_handoffs_that_failed_stand_where_they_failed():
    steps = timeline(Moments(claim=T, failed_handoffs=[after(1000)], process=after(1010), acknowledged=after(1020)))
    assert [step.moment for step in steps] == [
        Moment.CLAIM,
        Moment.HANDOFF_FAILED,
        Moment.PROCESS,
        Moment.ACKNOWLEDGED,
    ]


def test_a_session_that_has_only_been_claimed_has_one_step():
    steps = timeline(Moments(claim=T))
    assert [(step.moment, step.ms) for step in steps] == [(Moment.CLAIM, 0)]
    assert time_to(Moment.ACKNOWLEDGED, steps) is None


offsets = st.none() | st.floats(-1000, 10_000).map(after)


@given(
    st.builds(
        Moments,
        claim=st.just(T),
        before_claim_ms=st.none() | st.floats(0, 5000),
        room_asked=offsets,
        failed_handoffs=st.lists(st.floats(-1000, 10_000).map(after), max_size=2),
        process=offsets,
        handoff=offsets,
        acknowledged=offsets,
        bot_joined=offsets,
        caller_joined=offsets,
        first_audio=offsets,
        end=offsets,
    )
)
def test_whatever_the_clocks_say_the_bar_has_no_gaps_and_no_negative_steps(moments):
    steps = timeline(moments)
    assert len(steps) == len(list(moments))
    assert steps[0].start_ms == 0 and steps[0].ms == 0
    for one, following in pairwise(steps):
        assert following.start_ms == one.end_ms and following.ms >= 0
    if moments.end:
        assert steps[-1].moment == Moment.END
