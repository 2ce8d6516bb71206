"""The main loop of an agent process, which hosts exactly one session and exits.

`main` is called right after the fork (or, if spawned, after the warm-up) and never returns. Until `Go`, EOF on the
control socket, a `Stop` or a missing `Go` ends the process at once, so that a late or fenced supervisor cannot put a
second bot into a room. From `Go` on the process belongs to the session: EOF then means that the supervisor is gone, and
the call goes on without it; its report is left in the spool (`pools.agent.spool`).
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import NoReturn, cast

from pools.agent import afterwork
from pools.agent.config import AgentConfig
from pools.agent.descendants import become_subreaper
from pools.agent.idle import Idle
from pools.agent.logs import SessionLog
from pools.agent.memory import private_bytes
from pools.agent.session import Session
from pools.agent.spool import SpoolFile
from pools.agent.warmup import WarmBot
from pools.logs.log_format import JSON, form_of_environment
from pools.logs.redaction import process_redactor
from pools.protocol import (
    Claimed,
    Ended,
    FrameReader,
    Go,
    Message,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    Start,
    Started,
    Stop,
    encode_frame,
)

logger = logging.getLogger(__name__)

GO_SECONDS = 4.0  # a supervisor short of CPU may be late; if it is later than this, other pods consider it lost
_FLUSH_SECONDS = 2.0
_OVERTIME_SECONDS = 30  # after the session limit, the kernel kills a process whose event loop is stuck


class Agent(asyncio.Protocol):
    """The agent's end of the control socket."""

    def __init__(self, agent: str, config: AgentConfig, bot: WarmBot) -> None:
        self._agent = agent
        self._config = config
        self._bot = bot
        self._frames = FrameReader()
        self._supervised = True
        self._drained = asyncio.Event()
        self._drained.set()
        self._start: Start | None = None
        self._go_until = 0.0
        self._seconds_for_afterwork = 0.0
        self._log: SessionLog | None = None
        self._session: Session | None = None
        self._spool: SpoolFile | None = None
        self._redactor = process_redactor()
        self._idle = Idle(agent, bot.warm_up)
        self.over = False  # the report is delivered, and the time for afterwork is over
        self._leave_until = 0.0

    # --- asyncio.Protocol --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # so that resume_writing means that everything was sent
        self._send(Ready(pid=os.getpid(), version=self._config.version, warm=self._bot.facts))
        self._idle.begin()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                self._handle(message)
        except ProtocolError as error:
            logger.error("agent=%.8s unreadable message error=%s", self._agent, error)
            self._supervisor_gone()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._supervisor_gone()

    # --- hand-off ----------------------------------------------------------------------------------------

    def _handle(self, message: Message) -> None:
        if isinstance(message, Ping):
            self._send(Pong(message.number, private_bytes() if message.memory else 0))
        elif isinstance(message, Stop):
            self._stop(message)
        elif isinstance(message, Start) and self._start is None:
            self._accept(message)
        elif isinstance(message, Go) and self._start is not None and self._session is None:
            self._go(message, self._start)
        elif isinstance(message, Claimed) and self._session is not None:
            self._idle.end()
            self._limit(self._session_limit)
            self._session.claimed(message.body)
        else:
            raise ProtocolError(f"{message.type} out of turn")

    def _accept(self, start: Start) -> None:
        self._start = start
        if not start.prejoin:
            self._idle.end()
        # The clock is read before the answer, so that a pause right after it counts. `_go` compares the clock again:
        # after a pause, Go and the timer are both due.
        self._go_until = time.monotonic() + GO_SECONDS
        self._send(Started(start.session, start.attempt))
        self._loop.call_later(GO_SECONDS, self._exit_without_go)
        self._take_over_output(start)

    def _take_over_output(self, start: Start) -> None:
        self._redactor.add(start.token)
        ids = {"agent": self._agent[:8], "pid": os.getpid(), "session": start.session}
        if start.reference:
            ids["lead"] = start.reference
        form = form_of_environment()
        if form == JSON:
            ids["pod"] = os.environ.get("POD_NAME", "")
        self._log = SessionLog(ids, self._redactor, form)

    def _go(self, go: Go, start: Start) -> None:
        if (go.session, go.attempt) != (start.session, start.attempt):
            return  # it belongs to an earlier hand-off
        if time.monotonic() > self._go_until:
            self._exit_without_go()
            return
        self._take_charge(start)
        self._session = Session(start, self._bot.run, self._send, self._redactor)
        self._running = self._loop.create_task(self._run(self._session))

    def _exit_without_go(self) -> None:
        if self._session is None:
            logger.warning("agent=%.8s no Go in time", self._agent)
            self._exit(1)

    def _stop(self, stop: Stop) -> None:
        if self._session is None:
            self._exit(0)
        else:
            self._session.stop(stop.reason, stop.deadline)

    def _supervisor_gone(self) -> None:
        self._supervised = False
        self._drained.set()
        if self._session is None:
            self._exit(0)
        if not self._session.is_claimed:  # without a supervisor it can never be claimed
            self._session.stop("supervisor_gone", 1.0)
        self._transport.close()

    def loop_interrupted(self, error: BaseException) -> None:
        """Handle SystemExit or KeyboardInterrupt, raised by a task that the bot had started."""
        if self._session is None:
            self._exit(1)
        else:
            self._session.fail(error)

    # --- session -----------------------------------------------------------------------------------------

    def _take_charge(self, start: Start) -> None:
        """Make sure that the call ends and leaves a report even if the supervisor disappears."""
        # The kernel's timer works even if a bot blocks the event loop and no supervisor is left.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._session_limit = start.session_limit
        self._seconds_for_afterwork = start.afterwork
        if not start.prejoin:
            self._limit(start.session_limit)
        if self._config.spool_dir is None:
            return
        try:
            self._spool = SpoolFile(self._config.spool_dir, start.session, start.attempt)
        except (OSError, ValueError) as error:  # go on: the file matters only if the supervisor disappears
            logger.error("session=%s no spool file error=%s", start.session, error)

    @staticmethod
    def _limit(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds + _OVERTIME_SECONDS)

    async def _run(self, session: Session) -> None:
        try:
            await self._hand_in(await session.run())
            if seconds := self._seconds_for_afterwork:
                self._leave_until = time.monotonic() + seconds
                await afterwork.finish(seconds)
                self.over = True
                self._loop.stop()
            else:
                self._exit(0)
        except BaseException:
            logger.exception("agent=%.8s failed", self._agent)
            self._exit(1)

    async def _hand_in(self, ended: Ended) -> None:
        """Deliver the report: first to the spool, because what is written to a socket is lost if its reader dies."""
        logger.info("session=%s ended reason=%s error=%s", ended.session, ended.reason, ended.error)
        if self._spool is not None:
            try:
                self._spool.write(ended)
            except OSError as error:
                logger.error("session=%s report not spooled error=%s", ended.session, error)
        self._send(ended)
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._drained.wait()
        except TimeoutError:
            logger.error("session=%s the supervisor did not take the report", ended.session)

    def leave(self) -> NoReturn:
        """Run the bot's exit handlers, within what is left of the time for afterwork, and exit."""
        left = max(0.0, self._leave_until - time.monotonic())
        watchdog = threading.Timer(left, self._exit, [0])
        watchdog.daemon = True
        watchdog.start()
        afterwork.run_exit_handlers()
        self._exit(0)

    def _send(self, message: Message) -> None:
        if self._supervised:
            self._transport.write(encode_frame(message))

    def _exit(self, status: int) -> NoReturn:
        """Exit without Python's teardown, which takes a third of a second and crashes some native libraries."""
        if self._log is not None:
            self._log.close()
        os._exit(status)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()


def set_signals() -> None:
    """Make the process ignore Ctrl-C and SIGTERM: the supervisor handles them, and the agent follows its messages.

    The handler does nothing instead of being SIG_IGN, because programs that a bot starts would inherit SIG_IGN.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def after_fork() -> None:
    """Reset what a forked process must not share with its siblings."""
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # `random` and `ssl` reseed themselves


def main(agent: str, config: AgentConfig, control: socket.socket, bot: WarmBot) -> NoReturn:
    """Run as the agent with this id, over the socket `control`, until the process ends."""
    become_subreaper()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    control.setblocking(False)
    protocol: Agent | None = None

    async def connect() -> None:
        nonlocal protocol
        _, protocol = await loop.create_unix_connection(lambda: Agent(agent, config, bot), sock=control)

    loop.run_until_complete(connect())
    us = cast(Agent, protocol)
    while not us.over:  # if a bot stops the loop, it is started again
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            us.loop_interrupted(error)
    us.leave()
