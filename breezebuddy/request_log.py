"""Filters Django's log of failed requests: drops lines about 503s that have a better line elsewhere."""

import logging


class WithoutRefusals(logging.Filter):
    """Drops Django's line about a 503, because the code that answers one logs an event with the reason. For the probes,
    which log no event, Django's line is kept."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path", "")
        return getattr(record, "status_code", None) != 503 or path.startswith("/health")
