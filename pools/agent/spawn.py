"""Runs one agent in an interpreter of its own: `python -m pools.agent.spawn <control socket> <pod> <agent>`.

It is used where no zygote can fork the agent: if the bot starts threads when it is imported, or with
`VOICE_AGENT_START_METHOD=spawn`. It takes a second or more of imports instead of milliseconds; the rest is the same.
"""

import contextlib
import logging
import os
import socket
import sys

from common.secrecy import keep_memory_private
from pools.agent import process
from pools.agent.config import AgentConfig
from pools.agent.logs import log_to_stderr
from pools.agent.output import redact_output
from pools.agent.warmup import WarmupError, warm_up
from pools.protocol import WarmupFailed, encode_frame

logger = logging.getLogger("pools.agent.spawn")  # run as a program, __name__ is another


def main() -> None:
    control, agent = socket.socket(fileno=int(sys.argv[1])), sys.argv[3]
    keep_memory_private()
    process.set_signals()
    redact_output({"agent": agent[:8], "pid": os.getpid()})
    log_to_stderr()
    config = AgentConfig.from_environment()
    try:
        bot = warm_up(config)
        process.set_signals()  # a bot's import may have changed them
    except WarmupError as error:
        logger.error("agent=%.8s warm-up failed reason=%s", agent, error, exc_info=error.__cause__)
        with contextlib.suppress(ConnectionError):
            control.sendall(encode_frame(WarmupFailed(reason=str(error))))
        os._exit(1)
    process.main(agent, config, control, bot)


if __name__ == "__main__":
    main()
