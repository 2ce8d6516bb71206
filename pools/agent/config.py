"""The configuration of an agent process, passed to it in its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_BOT = "VOICE_AGENT_BOT"
_BOT_DIR = "VOICE_AGENT_BOT_DIR"
_PROJECT_DIR = "VOICE_AGENT_PROJECT_DIR"
_VERSION = "VOICE_AGENT_VERSION"
POD = "VOICE_AGENT_POD"
OUTPUT_PROCESS = "bot-output"  # the process name of a redactor (pools.agent.output), as `ps` shows it
_SPOOL_DIR = "VOICE_AGENT_SPOOL_DIR"


@dataclass(frozen=True)
class AgentConfig:
    """Which bot to run, and from where.

    `bot` is the name of a module with `async def bot(runner_args)`, found from `bot_dir`, which becomes the working
    directory and the first entry of `sys.path`. `project_dir` is where our own `pools` package lies. `env` is the
    result of `agent_environment()`. `pod` is the id of the pod's incarnation, by which its processes are known from
    outside. Without a `spool_dir`, what an agent reports after its supervisor's death is lost.
    """

    bot: str
    bot_dir: Path
    project_dir: Path
    version: str = ""
    pod: str = ""
    spool_dir: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    def process_environment(self) -> dict[str, str]:
        """Return the complete environment of an agent process."""
        return {
            **self.env,
            _BOT: self.bot,
            _BOT_DIR: os.fspath(self.bot_dir),
            _PROJECT_DIR: os.fspath(self.project_dir),
            _VERSION: self.version,
            POD: self.pod,
            _SPOOL_DIR: os.fspath(self.spool_dir or ""),
        }

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the configuration inside an agent process. Raises KeyError."""
        return cls(
            bot=environ[_BOT],
            bot_dir=Path(environ[_BOT_DIR]),
            project_dir=Path(environ[_PROJECT_DIR]),
            version=environ[_VERSION],
            pod=environ[POD],
            spool_dir=Path(environ[_SPOOL_DIR]) if environ[_SPOOL_DIR] else None,
        )
