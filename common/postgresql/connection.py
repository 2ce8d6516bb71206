"""A connection to PostgreSQL with a deadline for every answer.

A connection can go silent without closing: a proxy stops forwarding, a host vanishes behind a firewall. Nothing is
reported then, the server's timeouts do not fire, and a query would wait for ever. So gunicorn and `runpools` set
`ImpatientConnection.answer_timeout`. Other commands wait as long as it takes: a migration may take minutes.
"""

from typing import Any, ClassVar

import psycopg
from psycopg.abc import RV, PQGen


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection that closes and raises OperationalError if an answer takes longer than `answer_timeout` seconds."""

    answer_timeout: ClassVar[float | None] = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        if timeout is not None or self.answer_timeout is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate or self.closed:  # PostgreSQL's own, or of a lost connection
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"PostgreSQL has not answered for {self.answer_timeout:g} s") from None
