"""`python -m trials.scale.claimers THREADS EACH [silently]`: clients that claim back to back, from one process.

After each claim its pods are notified, as in `pools.sessions.start`; silently: they are not, and only the claim is
measured.

Each has a connection of its own. Prints `ready` when all are connected, begins at a line on standard input, and prints
JSON: when it began and ended (CLOCK_MONOTONIC), and the milliseconds of each claim by the kind of start.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from datetime import timedelta

import django

EMPTY = "nothing left"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "breezebuddy.settings")
    django.setup()
    threads, each, silently = int(sys.argv[1]), int(sys.argv[2]), "silently" in sys.argv
    print(json.dumps(claim_at_once(threads, each, silently=silently)), flush=True)  # noqa: T201 (the result)


def claim_at_once(number: int, each: int, *, silently: bool) -> dict[str, object]:
    from django.db import connection

    connected, go = threading.Barrier(number + 1), threading.Event()
    taken: dict[str, list[float]] = defaultdict(list)

    def client() -> None:
        connection.ensure_connection()
        connected.wait()
        go.wait()
        for _ in range(each):
            kind, milliseconds = _one_claim(silently=silently)
            taken[kind].append(milliseconds)

    threads = [threading.Thread(target=client) for _ in range(number)]
    for thread in threads:
        thread.start()
    connected.wait()
    print("ready", flush=True)  # noqa: T201 (for whoever gives the word)
    sys.stdin.readline()
    began = time.monotonic()
    go.set()
    for thread in threads:
        thread.join()
    return {"began": began, "ended": time.monotonic(), "claims": taken}


def _one_claim(*, silently: bool) -> tuple[str, float]:
    from django.db import transaction

    from pools.notifications import wake_for
    from pools.sessions.claims import PoolExhausted, RoomNeeded, SessionRequest, claim

    began = time.perf_counter()
    try:
        with transaction.atomic():
            session = claim(SessionRequest(body={}, life=timedelta(minutes=30)))
    except (PoolExhausted, RoomNeeded):
        return EMPTY, (time.perf_counter() - began) * 1000
    milliseconds = (time.perf_counter() - began) * 1000
    if not silently:
        wake_for(session.agent_process_id, session.room_id)
    return session.start_kind, milliseconds


if __name__ == "__main__":
    main()
