"""When an event is sent again: pauses, what the receiver asks for, what counts as taken."""

from leads.webhooks import scheduling


def test_delays_grow_twofold_with_full_jitter_up_to_an_hour():
    assert [scheduling.delay(tries, 1.0) for tries in (1, 2, 3, 4)] == [10, 20, 40, 80]
    assert [scheduling.delay(tries, 0.5) for tries in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert scheduling.delay(30, 1.0) == scheduling.delay(5000, 1.0) == 3600
    assert scheduling.delay(1, 0.0) == 1


def test_what_the_receiver_asks_for_is_heeded_up_to_an_hour():
    assert scheduling.delay(1, 0.0, retry_after=120) == 120
    assert scheduling.delay(1, 0.0, retry_after=1e6) == 3600


def test_only_2xx_is_success():
    assert all(scheduling.is_success(status) for status in (200, 204, 299))
    assert not any(scheduling.is_success(status) for status in (None, 199, 301, 404, 500))
