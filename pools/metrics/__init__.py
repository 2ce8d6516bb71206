"""Metrics that a process counts in memory for Prometheus. Those that are read from rows are in `pools.status`.

    claims     counted by the processes that serve HTTP: claims and refusals
    pod        counted by `runpools`: hand-offs, warm-ups, turns of its loop, retries
    processes  memory and CPU of a process tree, read from /proc at each scrape

Calls to Daily are counted in `pools/daily/account.py`. Labels have few values, all known in the code: no ids, no names
of leads, no texts.
"""

import hmac

REFUSAL = "Use 'Authorization: Bearer <METRICS_TOKEN>'"


def may_scrape(authorization: str | None, token: str) -> bool:
    """Whether this Authorization header may read the metrics. An empty METRICS_TOKEN lets everybody."""
    return not token or hmac.compare_digest((authorization or "").encode(), f"Bearer {token}".encode())
