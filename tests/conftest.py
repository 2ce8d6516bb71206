"""Fixtures for all tests. The database comes from the plugin `tests/embedded_database.py`."""

from collections.abc import Iterator

import pytest

from breezebuddy.postgresql.connection import ImpatientConnection
from tests.browser import browser, open_page
from tests.daily_sandbox import sandbox
from tests.service import pods

__all__ = ["browser", "open_page", "patient_connections", "pods", "sandbox"]


@pytest.fixture(autouse=True)
def patient_connections() -> Iterator[None]:
    """A command that a test calls in this process is impatient with PostgreSQL; the tests after it are not."""
    yield
    ImpatientConnection.answer_timeout = None
