"""manage.py pools VERB: look at the pools and steer them from a terminal. The verbs are in pools/terminal/verbs."""

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import OperationalError

from common.database import is_connection_failure, no_database
from pools.terminal.screen import Screen
from pools.terminal.verbs import ExitCode, verbs

STEERING = logging.getLogger("pools.operators.steering")
EPILOG = "`manage.py pools VERB --help` explains a verb. Exit codes: 0 fine, 1 not so, 2 wrong call, 3 no database."


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a verb's own text."""


@contextmanager
def _quiet() -> Iterator[None]:
    """The verb's own words are for the operator; the same as a line of a log, before them, would only be in the way."""
    level = STEERING.level
    STEERING.setLevel(logging.WARNING)
    try:
        yield
    finally:
        STEERING.setLevel(level)


class Command(BaseCommand):
    help = "Look at the pools and steer them. Reads and writes the database; the pods obey what they find there."
    requires_system_checks = []  # an operator in a hurry; `runpools` and gunicorn do them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
        for name, verb in verbs().items():
            subparser = subparsers.add_parser(
                name, help=verb.HELP, description=verb.__doc__.strip(), formatter_class=Formatter
            )
            verb.add_arguments(subparser)

    def handle(self, *args: Any, **options: Any) -> None:
        screen = Screen(self.stdout, self.stderr, self.style)
        try:
            with _quiet():
                code = verbs()[options["verb"]].run(options, screen)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except CommandError as wrong_call:
            wrong_call.returncode = int(ExitCode.WRONG_CALL)
            raise
        except OperationalError as error:
            if not is_connection_failure(error):
                raise
            screen.note(no_database(error))
            code = ExitCode.UNKNOWN
        if code:
            raise SystemExit(int(code))
