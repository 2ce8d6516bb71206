"""A pool of connections that replaces all of them as soon as one is found lost.

psycopg's own pool tests lost connections one after the other, with at least a second between them, and the longer
PostgreSQL was away, the later it connects again (up to minutes). Our callers get 503 after 2 s.
"""

import logging
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from common.postgresql.connection import ImpatientConnection

logger = logging.getLogger(__name__)

RETRY_S = 0.5  # while PostgreSQL is away, each waiting request asks for a connection this often


class ForgettingPool(ConnectionPool[ImpatientConnection]):
    """A pool that checks each connection before handing it out. If one was lost, all in the pool are replaced: what
    closes one (a failover, a restarted proxy) seldom spares the others."""

    def __init__(self, **options: Any) -> None:
        # reconnect_timeout: a failed attempt is not scheduled again; the next request connects at once instead.
        super().__init__(connection_class=ImpatientConnection, open=False, reconnect_timeout=0, **options)
        self._forgetting = Lock()
        self._forgotten = 0

    def getconn(self, timeout: float | None = None) -> ImpatientConnection:
        """Take a working connection. Raises PoolTimeout if there is none within `timeout` seconds."""
        until = monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            forgotten = self._forgotten
            try:
                connection = super().getconn(min(RETRY_S, until - monotonic()))
            except PoolTimeout:
                if monotonic() >= until:
                    raise
                continue
            try:
                self.check_connection(connection)
            except psycopg.Error:
                self.putconn(connection)  # closed: it is replaced
                self._forget(forgotten)
            else:
                return connection

    def _forget(self, forgotten: int) -> None:
        """Replace all connections in the pool. Threads whose connections were lost together do it once."""
        with self._forgetting:
            if self._forgotten == forgotten:
                logger.info("event=database_connections_lost")
                self.drain()
                self._forgotten += 1  # after it: a thread that reads the new count cannot be given a lost connection
