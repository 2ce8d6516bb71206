"""Builds the `runner_args` that a bot is called with."""

import sys
from dataclasses import dataclass, field
from typing import Any

from pools.protocol import Start


@dataclass
class PlainArguments:
    """The shape of Pipecat's `DailyRunnerArguments`, for bots without Pipecat."""

    room_url: str
    token: str | None = field(default=None, repr=False)
    body: Any = field(default_factory=dict, repr=False, kw_only=True)
    session_id: str | None = field(default=None, kw_only=True)
    handle_sigint: bool = field(default=False, kw_only=True)
    handle_sigterm: bool = field(default=False, kw_only=True)
    pipeline_idle_timeout_secs: float | None = field(default=None, kw_only=True)


def runner_arguments(start: Start) -> Any:
    """Return the arguments: of Pipecat's class if the bot uses Pipecat, else `PlainArguments`, which saves imports."""
    arguments: Any = _arguments_class()(
        room_url=start.room_url, token=start.token, body=start.body, session_id=start.session
    )
    arguments.handle_sigint = arguments.handle_sigterm = False  # the supervisor handles signals
    # A pre-joined bot is idle until it is claimed, which must not end it. Afterwards the shell's own timeout applies.
    arguments.pipeline_idle_timeout_secs = None if start.prejoin else start.idle_timeout
    return arguments


def _arguments_class() -> Any:
    if "pipecat" not in sys.modules:
        return PlainArguments
    from pipecat.runner.types import DailyRunnerArguments

    return DailyRunnerArguments
