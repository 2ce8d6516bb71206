"""Fixtures for all tests. The database comes from the plugin `tests/support/embedded_database.py`."""

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.test import override_settings
from whitenoise.middleware import WhiteNoiseMiddleware

from common.postgresql.connection import ImpatientConnection
from tests.support.browser import browser, open_page
from tests.support.daily_sandbox import module_sandbox, sandbox
from tests.support.embedded_database import TEMPLATE
from tests.support.service import pods

__all__ = ["browser", "module_sandbox", "open_page", "patient_connections", "pods", "sandbox"]


@pytest.fixture(autouse=True)
def patient_connections() -> Iterator[None]:
    """A command that a test calls in this process is impatient with PostgreSQL; the tests after it are not."""
    yield
    ImpatientConnection.answer_timeout = None


class QuickHasher(PBKDF2PasswordHasher):
    """Passwords that a log-in in any process can check, but made in no time."""

    iterations = 1


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=[f"{__name__}.QuickHasher"]):
        yield


class StaticFilesOnce(WhiteNoiseMiddleware):
    """Looks for the static files once, not with the first request of every test's client: 30 ms each."""

    found: ClassVar[dict[str, Any]] = {}

    def add_files_from_finders(self) -> None:
        if not self.found:
            super().add_files_from_finders()
            self.found.update(self.files)
        self.files.update(self.found)


@pytest.fixture(autouse=True, scope="session")
def static_files_once() -> Iterator[None]:
    ours = {"whitenoise.middleware.WhiteNoiseMiddleware": f"{__name__}.StaticFilesOnce"}
    with override_settings(MIDDLEWARE=[ours.get(name, name) for name in settings.MIDDLEWARE]):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """pytest-django's hook: the test database is a copy of the migrated one."""
    connection.settings_dict["TEST"]["TEMPLATE"] = os.environ.get(TEMPLATE)
