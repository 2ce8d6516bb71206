"""Django's own lines about answers, without those that have been told better."""

import logging


class WithoutRefusals(logging.Filter):
    """A 503 is expected where capacity or the database is short, and whoever answers it logs an event with the reason.
    Probes have no such line: Django's stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path", "")
        return getattr(record, "status_code", None) != 503 or path.startswith("/health")
