"""Names every advisory lock of the service, so that no two have the same name.

They need SQL, because the ORM does not support advisory locks.
"""

from enum import StrEnum

from django.db import connection

# Held for as long as a `runpools` lives, by its listening connection (pools.supervisor.pod_identity). The seed, any
# number, keeps the names of pods apart from those below. All 64 bits: of 32, two names of a large fleet may have the
# same.
POD_NAME_KEY = "hashtextextended(%s, 7351)"


class Lock(StrEnum):
    """Held until the end of a transaction."""

    DAILY_BUDGET = "daily budget"  # one for each group of endpoints
    DIALLING = "dialling"
    OVERRIDES = "pool orders"
    RECONCILE = "reconcile"
    ROLL_OUT = "roll-out"
    ROOM_STOCK = "room stock"
    WAITING_SESSIONS = "waiting sessions"


def wait_for(lock: Lock, of: str = "") -> None:
    """Take a lock, and hold it until the end of the transaction. `of`: one of several locks of the same kind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{lock} {of}" if of else lock])
