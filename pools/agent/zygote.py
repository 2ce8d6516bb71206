"""The fork server, started as `python -m pools.agent.zygote <control socket> <pod>`; it forks agents on request.

It is synchronous and always single-threaded, because a fork copies only the thread that calls it: locks held by any
other thread would stay locked in the child for ever. So it has no event loop and no log thread (it writes its few lines
directly), and it counts its threads before every fork.
"""

import array
import contextlib
import gc
import logging
import os
import select
import socket
import sys
from typing import NoReturn

from common.secrecy import keep_memory_private
from pools.agent import afterwork, process
from pools.agent.config import AgentConfig
from pools.agent.descendants import end_group
from pools.agent.fork_safety import connection_problem, connections, thread_count, thread_problem
from pools.agent.hugepages import collapse_heap
from pools.agent.logs import log_to_stderr
from pools.agent.memory import private_bytes
from pools.agent.output import redact_output
from pools.agent.rehearsal import rehearse
from pools.agent.warmup import WarmBot, WarmupError, warm_up
from pools.protocol import (
    AgentExited,
    Fork,
    Forked,
    ForkRefused,
    Message,
    ProtocolError,
    WarmupFailed,
    ZygoteReady,
    decode,
    encode,
)

logger = logging.getLogger("pools.agent.zygote")  # run as a program, __name__ is another

_MAX_PACKET = 64 * 1024
_FD_BYTES = array.array("i").itemsize


class ForkServer:
    """Forks an agent for every Fork message, reaps dead agents, and ends when its supervisor is gone."""

    def __init__(self, control: socket.socket, config: AgentConfig, bot: WarmBot, connected: str) -> None:
        """`connected`: which open connections forks would share; empty if there are none."""
        self._connected = connected
        self._control = control
        self._config = config
        self._bot = bot
        self._children: dict[int, tuple[str, int]] = {}  # pidfd -> (agent, pid)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Serve requests until the supervisor closes its end of the socket."""
        ready = ZygoteReady(
            pid=os.getpid(),
            version=self._config.version,
            threads=thread_count(),
            unsafe=self._problem(),
            warm=self._bot.facts,
            private_bytes=private_bytes(),
        )
        if not self._send(ready):
            return
        while True:
            events = dict(self._poll.poll())
            for pidfd in events.keys() & self._children.keys():
                self._reap(pidfd)
            if self._control.fileno() in events and not self._serve_request():
                return

    def _serve_request(self) -> bool:
        """Handle one message. Returns False if the supervisor is gone."""
        try:
            packet, ancillary, _, _ = self._control.recvmsg(
                _MAX_PACKET, socket.CMSG_SPACE(_FD_BYTES), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return False
        if not packet:
            return False
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        try:
            message = decode(packet)
        except ProtocolError as error:
            logger.error("zygote unreadable message error=%s", error)
            return False
        if not isinstance(message, Fork):
            logger.error("zygote unexpected message type=%s", message.type)
            return False
        if not descriptors:  # the kernel drops them if this process has too many files open
            return self._send(ForkRefused(agent=message.agent, reason="no control socket came with the request"))
        return self._fork(message.agent, descriptors[0])

    def _fork(self, agent: str, descriptor: int) -> bool:
        control = socket.socket(fileno=descriptor)
        if problem := self._problem():
            control.close()
            return self._send(ForkRefused(agent=agent, reason=problem))
        try:
            pid = os.fork()
        except OSError as error:
            control.close()
            return self._send(ForkRefused(agent=agent, reason=f"fork: {error.strerror}"))
        if pid == 0:
            self._become_agent(agent, control)
        control.close()
        # Only this process reaps its children, so the pid cannot have been reused.
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (agent, pid)
        self._poll.register(pidfd, select.POLLIN)
        return self._send(Forked(agent=agent, pid=pid), pidfd)

    def _problem(self) -> str:
        """Return why forking is not safe; empty if it is."""
        return thread_problem() or self._connected

    def _become_agent(self, agent: str, control: socket.socket) -> NoReturn:
        """Turn the forked child into an agent: close the zygote's own files. What the bot opened stays open."""
        try:
            self._control.close()
            for pidfd in self._children:
                os.close(pidfd)
            os.setsid()
            process.after_fork()
            process.main(agent, self._config, control, self._bot)
        except BaseException:
            logger.exception("agent=%.8s failed", agent)
        finally:
            os._exit(1)  # the child must never return into the zygote's loop

    def _reap(self, pidfd: int) -> None:
        agent, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        end_group(pid)
        _, status = os.waitpid(pid, 0)
        self._send(AgentExited(agent=agent, pid=pid, status=os.waitstatus_to_exitcode(status)))

    def _send(self, message: Message, *descriptors: int) -> bool:
        """Send a message. Returns False if the supervisor is gone."""
        try:
            if descriptors:
                socket.send_fds(self._control, [encode(message)], descriptors)
            else:
                self._control.send(encode(message))
        except ConnectionError:
            return False
        return True


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    keep_memory_private()  # its forks inherit it
    process.set_signals()
    redact_output({"zygote": os.getpid()})
    log_to_stderr()
    config = AgentConfig.from_environment()
    before = connections()
    try:
        bot = warm_up(config)
        process.set_signals()  # a bot's import may have changed them; with SIGCHLD ignored, waiting would fail
        rehearse(config, bot)
    except WarmupError as error:
        logger.error("zygote warm-up failed reason=%s", error, exc_info=error.__cause__)
        with contextlib.suppress(ConnectionError):
            control.send(encode(WarmupFailed(reason=str(error))))
        os._exit(1)
    afterwork.leave_to_the_zygote()
    # Freeze what is alive: otherwise the first collection in each child would copy all of it (43 MB).
    gc.collect()
    gc.freeze()
    collapse_heap()
    logger.info("zygote ready pid=%d bot=%s total_ms=%s", os.getpid(), config.bot, bot.facts["total_ms"])
    ForkServer(control, config, bot, connection_problem(before)).serve()
    os._exit(0)  # the interpreter's teardown takes long with native libraries loaded


if __name__ == "__main__":
    main()
