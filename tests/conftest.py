"""Fixtures for all tests. The database comes from the plugin `tests/embedded_database.py`."""

from tests.daily_sandbox import sandbox
from tests.service import pods

__all__ = ["pods", "sandbox"]
