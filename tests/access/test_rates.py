"""Rates: as many as allowed at once, then evenly; shared by all processes, counted without loss."""

import threading

import pytest
from django.db import connection, connections

from access.models import RateAllowance
from access.rate import Rate
from access.throttles import seconds_to_wait

THREE_A_MINUTE = Rate(3, 60)


def allowed(whom="a", rate=THREE_A_MINUTE, tries=10):
    return [seconds_to_wait("TEST", whom, rate) == 0 for _ in range(tries)].count(True)


def pass_time(seconds):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE leads_rateallowance SET used_up_to = used_up_to - make_interval(secs => %s)", [float(seconds)]
        )


@pytest.mark.django_db
class TestRate:
    def test_a_burst_is_allowed_up_to_the_rate(self):
        assert allowed() == 3

    def test_each_caller_has_its_own(self):
        assert (allowed("a"), allowed("b")) == (3, 3)

    def test_it_refills_evenly_and_never_beyond_the_rate(self):
        assert allowed() == 3
        pass_time(21)
        assert allowed() == 1
        pass_time(3600)
        assert allowed() == 3

    def test_hammering_on_costs_nothing(self):
        assert allowed(tries=100) == 3
        pass_time(21)
        assert allowed() == 1

    def test_the_time_to_wait_is_when_the_next_is_allowed(self):
        allowed()
        wait = seconds_to_wait("TEST", "a", Rate(3, 60))
        assert 15 < wait <= 20
        pass_time(wait)
        assert allowed(tries=1) == 1

    def test_off_is_no_limit(self):
        assert seconds_to_wait("TEST", "a", None) == 0
        assert not RateAllowance.objects.exists()

    def test_rows_that_limit_nobody_are_forgotten(self):
        allowed("a")
        pass_time(3600)
        allowed("b")
        assert RateAllowance.objects.count() == 1

    def test_a_count_costs_no_disk_flush(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'leads_rateallowance'")
            assert cursor.fetchone()[0] == "u"


@pytest.mark.django_db(transaction=True)
def test_threads_at_once_get_no_more_than_the_rate():
    counts: list[int] = []
    start = threading.Barrier(4)

    def hammer():
        start.wait(timeout=20)
        try:
            counts.append(allowed(rate=Rate(20, 3600), tries=15))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sum(counts) == 20
