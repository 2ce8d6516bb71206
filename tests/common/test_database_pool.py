"""gunicorn's connections to PostgreSQL: those that were lost cost no request its answer, however many there were."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Barrier

import pytest
from django.db import connection
from psycopg_pool import PoolTimeout

from common.postgresql.connection import ImpatientConnection
from common.postgresql.pool import ForgettingPool
from tests.support.database_proxy import DatabaseProxy
from tests.support.programs import database_url
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db
SIZE = 6


class CountingPool(ForgettingPool):
    """Counts the connections that it has looked at."""

    checked = 0

    def check_connection(self, conn: ImpatientConnection) -> None:  # type: ignore[override]
        self.checked += 1
        super().check_connection(conn)


@contextmanager
def full_pool(url: str) -> Iterator[CountingPool]:
    with CountingPool(conninfo=url, kwargs={"autocommit": True}, min_size=SIZE, max_size=SIZE, timeout=20) as pool:
        pool.wait()
        yield pool


def terminate_all_of(pool: ForgettingPool) -> None:
    with ExitStack() as stack:
        lost = [stack.enter_context(pool.connection()).info.backend_pid for _ in range(SIZE)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(pg_terminate_backend(pid, 5000)) FROM unnest(%s) AS pid", [lost])


def test_one_lost_connection_is_enough_to_forget_them_all():
    with full_pool(database_url()) as pool:
        terminate_all_of(pool)
        pool.checked = 0
        for _ in range(SIZE + 1):
            with pool.connection() as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
        assert pool.checked == SIZE + 2, "only one was found to be lost"
        wait_until(lambda: pool.get_stats()["pool_available"] == SIZE)


def test_threads_that_find_lost_ones_at_the_same_time_forget_them_once():
    together = Barrier(SIZE)

    def ask(pool: ForgettingPool) -> object:
        together.wait(20)
        with pool.connection() as conn:
            together.wait(20)
            return conn.execute("SELECT 1").fetchone()

    with full_pool(database_url()) as pool, ThreadPoolExecutor(SIZE) as threads:
        terminate_all_of(pool)
        before = pool.get_stats()["connections_num"]
        assert list(threads.map(ask, [pool] * SIZE)) == [(1,)] * SIZE
        wait_until(lambda: pool.get_stats()["pool_available"] == SIZE)
        assert pool.get_stats()["connections_num"] == before + SIZE


def test_after_an_outage_the_next_request_connects_at_once():
    """psycopg's own pool goes on trying every 1, 2, 4, 8 ... seconds, and meanwhile requests wait for that."""
    with DatabaseProxy() as proxy:
        proxy.open()
        with full_pool(proxy.url) as pool:
            proxy.shut()
            with pytest.raises(PoolTimeout):
                pool.getconn(timeout=0.1)
            wait_until(lambda: pool.get_stats()["pool_size"] == 0)
            proxy.open()
            with pool.connection() as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
