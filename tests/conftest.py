"""Fixtures for all tests. The database comes from the plugin `tests/embedded_database.py`."""

from tests.browser import browser, open_page
from tests.daily_sandbox import sandbox
from tests.service import pods

__all__ = ["browser", "open_page", "pods", "sandbox"]
