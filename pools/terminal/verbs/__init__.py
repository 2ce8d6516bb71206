"""The verbs of `manage.py pools`, one file each, found by its name.

A verb is a module with `HELP` (one line), `add_arguments(parser)` and `run(options, screen) -> int`, which returns the
exit code; its docstring is the text of `manage.py pools VERB --help`. Nothing else is to be done for a new one.
"""

import importlib
import pkgutil
from argparse import ArgumentParser
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Protocol, cast

from pools.terminal.screen import Screen


class ExitCode(IntEnum):
    """As monitoring expects it. A verb raises CommandError for a call that was wrong; 2 is argparse's number for it."""

    FINE = 0
    DEGRADED = 1
    WRONG_CALL = 2
    UNKNOWN = 3


class Verb(Protocol):
    HELP: str
    __doc__: str

    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def run(self, options: Mapping[str, Any], screen: Screen) -> int: ...


def verbs() -> dict[str, Verb]:
    """By name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: cast(Verb, importlib.import_module(f"{__name__}.{name}")) for name in names}
