"""Imports one bot for the census, and prints as JSON what the import has left behind (threads, connections)."""

import json
import os
import sys
from typing import Any

from pools.agent import fork_safety, transports
from pools.agent.config import AgentConfig
from pools.agent.warmup import WarmupError, enter, import_bot


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the bot prints must not mix with the answer
    config, before, modules = AgentConfig.from_environment(), fork_safety.connections(), set(sys.modules)
    try:
        enter(config)
        import_bot(config.bot)
    except WarmupError as error:
        said: dict[str, Any] = {"problem": str(error)}
    else:
        said = {
            "threads": fork_safety.thread_problem(),
            "sockets": fork_safety.connection_problem(before),
            "transports": sorted(transports.known_to(config.bot, modules)),
        }
    json.dump(said, answer)
    answer.flush()
    os._exit(0)  # whatever threads the bot has started


if __name__ == "__main__":
    main()
