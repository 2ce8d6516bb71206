"""When an event is sent again: pauses, what the receiver asks for, what counts as taken."""

from leads.webhooks import retries


def test_delays_grow_twofold_with_full_jitter_up_to_an_hour():
    assert [retries.delay(tries, 1.0) for tries in (1, 2, 3, 4)] == [10, 20, 40, 80]
    assert [retries.delay(tries, 0.5) for tries in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert retries.delay(30, 1.0) == retries.delay(5000, 1.0) == 3600
    assert retries.delay(1, 0.0) == 1


def test_what_the_receiver_asks_for_is_heeded_up_to_an_hour():
    assert retries.delay(1, 0.0, retry_after=120) == 120
    assert retries.delay(1, 0.0, retry_after=1e6) == 3600


def test_only_2xx_is_success():
    assert all(retries.is_success(status) for status in (200, 204, 299))
    assert not any(retries.is_success(status) for status in (None, 199, 301, 404, 500))
