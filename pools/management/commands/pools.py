"""manage.py pools VERB: look at the pools and steer them from a terminal. The verbs are in pools/terminal."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter
from django.db import OperationalError

from breezebuddy.command_line import is_connection_failure, no_database
from pools.screen import Screen
from pools.terminal import ExitCode, verbs

EPILOG = "`manage.py pools VERB --help` explains a verb. Exit codes: 0 fine, 1 not so, 2 wrong call, 3 no database."


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a verb's own text."""


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
            code = verbs()[options["verb"]].run(options, screen)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except OperationalError as error:
            if not is_connection_failure(error):
                raise
            screen.note(no_database(error))
            code = ExitCode.UNKNOWN
        if code:
            raise SystemExit(int(code))
