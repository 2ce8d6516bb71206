"""Runs `manage.py`, and reports errors that its user can correct in one line instead of a traceback."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

from common.database import is_connection_failure, no_database
from common.secrecy import keep_memory_private

WRONG_CONFIGURATION = 2
FAILED = 1


def main(arguments: list[str]) -> None:
    """Run a management command. Exits with 2 if the settings are wrong, with 1 if the database does not answer."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "breezebuddy.settings")
    keep_memory_private()  # settings hold secrets, and bots run as the same user
    try:
        _ = settings.INSTALLED_APPS  # loads the settings: some commands would run even with wrong ones
        execute_from_command_line(arguments)
    except ImproperlyConfigured as exc:
        _end(f"configuration error: {exc}", WRONG_CONFIGURATION)
    except OperationalError as exc:
        if not is_connection_failure(exc):
            raise
        _end(no_database(exc), FAILED)


def _end(message: str, status: int) -> None:
    print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr)  # noqa: T201 - for the user of the command
    raise SystemExit(status)
