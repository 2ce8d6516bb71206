"""Makes a process ready to host sessions: imports the bot, loads its models, imports what it would import later."""

import contextlib
import importlib
import inspect
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pools.agent import idle, observe, prejoin, tls, transports
from pools.agent.config import AgentConfig
from pools.agent.environment import is_forbidden
from pools.agent.output import last_words
from pools.agent.preload import preload
from pools.logs.log_format import printable
from pools.logs.redaction import process_redactor

Bot = Callable[[Any], Awaitable[None]]

_LONGEST_REASON = 300


class WarmupError(Exception):
    """The bot cannot be run. The message is one line for people."""


@dataclass(frozen=True)
class WarmBot:
    """The bot's entry point, and what was done before it is called (milliseconds; the models' answers).

    `warm_up`: what it does besides in an idle process (`pools.agent.idle`).
    """

    run: Bot
    facts: dict[str, Any] = field(default_factory=dict)
    warm_up: idle.WarmUp | None = None


def warm_up(config: AgentConfig) -> WarmBot:
    """Import the bot and everything that its first session would import or load. Raises WarmupError."""
    started = time.monotonic()
    enter(config)
    before = set(sys.modules)
    run = import_bot(config.bot)
    imported = time.monotonic()
    _forget_secrets()
    facts: dict[str, Any] = {"import_ms": _milliseconds(imported - started), "prejoin": _may_prejoin(config.bot)}
    if "pipecat" in sys.modules:
        _refuse_without_daily(config.bot, transports.known_to(config.bot, before))
        facts |= _warm_pipecat()
    preload()
    tls.prepare()
    _forget_secrets()
    facts |= {"modules": len(sys.modules), "total_ms": _milliseconds(time.monotonic() - started)}
    return WarmBot(run, facts, _warm_up_of(config.bot))


def enter(config: AgentConfig) -> None:
    """Change to the bot's directory and put it first in `sys.path`; our own package comes last."""
    try:
        os.chdir(config.bot_dir)
    except OSError as error:
        raise WarmupError(f"bot directory {config.bot_dir}: {error.strerror}") from error
    ours, theirs = os.fspath(config.project_dir), os.fspath(config.bot_dir)
    sys.path[:] = [theirs, *(entry for entry in sys.path if entry not in ("", ours, theirs)), ours]
    sys.argv = [config.bot]


def import_bot(name: str) -> Bot:
    try:
        with last_words() as words:
            module = importlib.import_module(name)
    except BaseException as error:  # a module may raise anything, and may call sys.exit()
        said = words if isinstance(error, SystemExit) and not isinstance(error.code, str) else ()
        reason = _reason(f"bot module {name} does not import", error, *said)
        if _is_not_there(name, error):
            reason += f": it is looked for in {os.getcwd()} first (VOICE_AGENT_BOT_DIR)"
        raise WarmupError(reason) from error
    bot: Any = getattr(module, "bot", None)
    if not callable(bot) or not inspect.iscoroutinefunction(inspect.unwrap(bot)):
        raise WarmupError(f"bot module {name} has no `async def bot(runner_args)`")
    run: Bot = bot
    return run


def _is_not_there(bot: str, error: BaseException) -> bool:
    """Return whether the missing module is the bot's own or a package above it, not one that it imports."""
    return isinstance(error, ModuleNotFoundError) and f"{bot}.".startswith(f"{error.name}.")


def _refuse_without_daily(bot: str, known: set[str]) -> None:
    """Raise WarmupError if the bot has no Daily transport, so that this is reported once and not in each call."""
    if known and transports.DAILY not in known:
        raise WarmupError(
            f"bot module {bot} can join no Daily room, it only knows {', '.join(sorted(known))}: "
            'give create_transport a "daily" entry, or use DailyTransport(runner_args.room_url, runner_args.token, ...)'
        )


def _may_prejoin(name: str) -> bool:
    return getattr(sys.modules[name], prejoin.DECLARATION, False) is True


def _warm_up_of(name: str) -> idle.WarmUp | None:
    """Return the bot's `warm_up`, if it is a coroutine function: others of this name may serve another purpose."""
    warm_up: idle.WarmUp | None = getattr(sys.modules[name], idle.DECLARATION, None)
    return warm_up if inspect.iscoroutinefunction(warm_up) else None


def _warm_pipecat() -> dict[str, Any]:
    started = time.monotonic()
    try:
        import pipecat.runner.types  # noqa: F401  the arguments of a session

        from pools.agent import models

        answers = models.load_and_run()
        with contextlib.suppress(ImportError):  # a Pipecat without its `daily` and `webrtc` extras
            import pools.agent.local_daily  # noqa: F401  and so Pipecat's Daily transport, which bots import late
        observe.install()
    except Exception as error:
        raise WarmupError(_reason("the voice models do not load", error)) from error
    return {"models_ms": _milliseconds(time.monotonic() - started), "models": answers}


def _forget_secrets() -> None:
    """Remove the service's secrets from the environment again: a bot's import may have read the service's `.env`."""
    for name in [name for name in os.environ if is_forbidden(name)]:
        del os.environ[name]


def _reason(what: str, error: BaseException, *said: str) -> str:
    """Describe an error in one line without secrets. `said`: what the bot has printed about it."""
    text = " ".join(": ".join((what, type(error).__name__, str(error), *said)).split())
    return printable(process_redactor().text(text))[:_LONGEST_REASON]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
