"""The command `manage.py pools VERB`: shows the pools and controls them from a terminal. Verbs: pools/terminal."""

import argparse
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import OperationalError

from common.database import is_connection_failure, no_database
from pools.terminal.explain import Explain
from pools.terminal.overrides import Overrides, Pause, Resize, Resume
from pools.terminal.pods import Drain, Recycle, Uncordon
from pools.terminal.reserve import Reserve
from pools.terminal.rollout import Rollout
from pools.terminal.screen import ExitCode, Screen, Verb
from pools.terminal.simulate import Simulate
from pools.terminal.size import Size
from pools.terminal.status import Status, Wait

STEERING = logging.getLogger("pools.operators.steering")
EPILOG = (
    "`manage.py pools VERB --help` explains a verb. Exit codes: 0 success, 1 failure, 2 usage error, 3 no database."
)
VERBS: dict[str, Verb] = {
    verb.__name__.lower(): verb()
    for verb in (
        Drain,
        Explain,
        Overrides,
        Pause,
        Recycle,
        Reserve,
        Resize,
        Resume,
        Rollout,
        Simulate,
        Size,
        Status,
        Uncordon,
        Wait,
    )
}


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the verb's docstring."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Do not log what the verb prints for the operator anyway."""
    level = STEERING.level
    STEERING.setLevel(logging.WARNING)
    try:
        yield
    finally:
        STEERING.setLevel(level)


class Command(BaseCommand):
    help = "Show and control the pools. Reads and writes the database; the running pods obey what is there."
    requires_system_checks = []  # they take time; `runpools` and gunicorn run them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
        for name, verb in VERBS.items():
            subparser = subparsers.add_parser(
                name, help=verb.help, description=inspect.getdoc(verb), formatter_class=Formatter
            )
            verb.add_arguments(subparser)

    def handle(self, *args: Any, **options: Any) -> None:
        screen = Screen(self.stdout, self.stderr, self.style)
        try:
            with _quiet():
                code = VERBS[options["verb"]].run(options, screen)
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
