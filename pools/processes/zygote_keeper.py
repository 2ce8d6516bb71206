"""Keeps one zygote alive, or says that agents must be spawned instead.

Spawned agents take the place of forked ones while a zygote cannot be had: for good when forking is not safe (the bot's
imports have started threads or opened connections), for the time being after two zygotes in a row have died silently.
"""

import logging

from pools.agent.launcher import AgentConfig, Zygote
from pools.decisions import planner
from pools.metrics.pod import FAILURES
from pools.protocol import AgentExited, ForkRefused, Message, ProtocolError, WarmupFailed, ZygoteReady
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

SPAWN_AFTER = 2
FORKS_AT_ONCE = 32
SPAWNS_AT_ONCE = 2  # each imports Pipecat, a second of one core


class ZygoteKeeper:
    """`method` is how agents are started now; `zygote` is the one that is ready, or None; `trouble` is why not."""

    def __init__(self, agent: AgentConfig, config: SupervisorConfig) -> None:
        self._agent = agent
        self._warmup_timeout = config.warmup_timeout
        self._proven_after = config.timings.zygote_proven
        self._forking = config.start_method == "zygote"
        self._zygote: Zygote | None = None
        self._ready = False
        self._since = 0.0
        self._silent_deaths = 0
        self._backoff = planner.Backoff(base=2.0, ceiling=60.0, steady=True)
        self.trouble = ""

    @property
    def method(self) -> str:
        return "zygote" if self._forking and self._silent_deaths < SPAWN_AFTER else "spawn"

    @property
    def zygote(self) -> Zygote | None:
        return self._zygote if self._ready and self.method == "zygote" else None

    @property
    def at_once(self) -> int:
        return FORKS_AT_ONCE if self.zygote else SPAWNS_AT_ONCE

    @property
    def can_start(self) -> bool:
        return self.method == "spawn" or self.zygote is not None

    def fileno(self) -> int | None:
        return self._zygote.fileno() if self._zygote else None

    @property
    def pid(self) -> int | None:
        return self._zygote.pid if self._zygote else None

    @property
    def private_bytes(self) -> int:
        """Of one that is ready; its forks share most of it."""
        return self._zygote.ready.private_bytes if self._zygote and self._zygote.ready else 0

    def tend(self, now: float) -> None:
        """Start a zygote if there is none and it is time; give up one that does not get warm."""
        if not self._forking:
            return
        if self._zygote is None:
            if self._backoff.allows(now):
                self._start(now)
        elif self._ready and now - self._since > self._proven_after:
            self._silent_deaths, self._backoff = 0, self._backoff.succeeded()
        elif not self._ready and now - self._since > self._warmup_timeout:
            self._failed(f"the bot was not warm within {self._warmup_timeout:g} s", now, silent=False)

    def _start(self, now: float) -> None:
        self._zygote, self._ready, self._since = Zygote(self._agent), False, now
        try:
            self._zygote.start()
        except OSError as error:
            self._failed(f"the zygote cannot be started: {error.strerror}", now, silent=True)

    def read(self, now: float) -> list[Message]:
        """Take what the zygote has said; what concerns single agents is returned."""
        if self._zygote is None:
            return []
        about_agents: list[Message] = []
        try:
            messages = self._zygote.receive()
        except ProtocolError as error:
            self._failed(f"protocol error: {error}", now, silent=True)
            return []
        for message in messages:
            match message:
                case ZygoteReady():
                    self._became_ready(message, now)
                case WarmupFailed():
                    self._failed(f"warm-up failed: {message.reason}", now, silent=False)
                    return about_agents
                case ForkRefused():
                    self._refused(message.reason)
                    about_agents.append(message)
                case AgentExited():
                    about_agents.append(message)
        if self._zygote and self._zygote.eof:
            self._failed("the zygote died", now, silent=True)
        return about_agents

    def hangs(self, now: float) -> None:
        """It does not do what it is asked for; what it has not forked yet ends with it."""
        if self._ready:
            self._failed("the zygote hangs", now, silent=True)

    def _became_ready(self, message: ZygoteReady, now: float) -> None:
        logger.info(
            "event=zygote_ready pid=%d ms=%.0f threads=%d", message.pid, (now - self._since) * 1000, message.threads
        )
        self._ready = True
        self.trouble = ""
        if message.unsafe:
            self._refused(message.unsafe)

    def _refused(self, reason: str) -> None:
        """Forking is not safe with this bot: spawn from now on."""
        if self._forking:
            logger.warning("event=fork_refused reason=%r now=spawn", reason)
        self._forking = False
        self.stop()

    def _failed(self, reason: str, now: float, *, silent: bool) -> None:
        """`silent`: it died without a word, which says nothing about the bot; spawning may work."""
        FAILURES.labels("zygote").inc()
        lived = self._ready and now - self._since > self._proven_after
        self.stop()
        if lived:  # a new one at once
            logger.error("event=zygote_lost reason=%r", reason)
            return
        self._silent_deaths = self._silent_deaths + 1 if silent else 0
        self._backoff = self._backoff.failed(now)
        if reason != self.trouble:
            logger.error("event=zygote_failed reason=%r retry_in=%.1f", reason, self._backoff.until - now)
        self.trouble = reason

    def stop(self) -> None:
        if self._zygote:
            self._zygote.kill()
            self._zygote = None
        self._ready = False
