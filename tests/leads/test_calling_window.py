"""Calling windows: any zone, any day of the year, clocks that are put forward and back."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from leads.telephony.calling_window import CallingWindow

ZONES = [
    ZoneInfo(name) for name in ("UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
]
BERLIN = ZoneInfo("Europe/Berlin")
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))
whole_minutes = st.times().map(lambda value: value.replace(second=0, microsecond=0, tzinfo=None))
windows = st.builds(CallingWindow, whole_minutes, whole_minutes, st.sampled_from([*ZONES, BERLIN])).filter(
    lambda window: window.start != window.end
)


@given(windows, moments)
@example(CallingWindow(time(2, 30), time(9), BERLIN), datetime(2026, 3, 28, 12, tzinfo=UTC))  # 2:30 is left out
@example(CallingWindow(time(2, 30), time(2, 40), BERLIN), datetime(2026, 3, 28, 12, tzinfo=UTC))  # so is all of it
def test_it_is_open_when_it_says_that_it_opens_and_not_before(window, now):
    opens_at = window.opens_at(now)
    assert opens_at >= now and window.is_open(opens_at)
    assert opens_at - now <= timedelta(days=2)
    if opens_at > now + timedelta(hours=2):  # nearer than that, a clock may have been changed in between
        assert not window.is_open(opens_at - timedelta(hours=2)) or _clock_changes(window, opens_at)


def _clock_changes(window: CallingWindow, moment: datetime) -> bool:
    offsets = {(moment + timedelta(hours=hours)).astimezone(window.zone).utcoffset() for hours in (-3, 0, 3)}
    long_open = (datetime.combine(moment, window.end) - datetime.combine(moment, window.start)) % timedelta(days=1)
    return len(offsets) > 1 or long_open > timedelta(hours=22)


@given(windows, moments)
def test_a_window_and_the_rest_of_the_day_are_never_open_together(window, now):
    rest = CallingWindow(window.end, window.start, window.zone)
    assert window.is_open(now) != rest.is_open(now)


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def test_it_is_the_clock_on_the_wall_that_counts():
    window = CallingWindow(time(9), time(18), BERLIN)
    assert window.opens_at(at("2026-03-28 19:00")).astimezone(UTC).hour == 7  # summer time begins that night
    assert window.opens_at(at("2026-10-24 19:00")).astimezone(UTC).hour == 8  # and ends that night
    assert window.is_open(at("2026-07-01 17:59")) and not window.is_open(at("2026-07-01 18:00"))


def test_a_window_over_midnight():
    window = CallingWindow(time(22), time(6), BERLIN)
    assert [window.is_open(at(f"2026-07-01 {clock}")) for clock in ("21:59", "22:00", "05:59", "06:00")] == [
        False,
        True,
        True,
        False,
    ]
    assert window.opens_at(at("2026-07-01 12:00")) == at("2026-07-01 22:00")
