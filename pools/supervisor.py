"""The supervisor of one pod: one synchronous loop around one wait on everything.

`run_once(timeout)` is one turn: wait, read what has arrived (memory only), then small steps that bring rows and
processes to where they should be. Steps look at levels, not at events: whatever was missed, the next turn heals. A
database that is away costs the steps of a turn and nothing else; what processes have said meanwhile is kept.
"""

import ctypes
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection

from pools import planner, reaper, spooled
from pools.agent_pool import DRAINED, STOPPED, Agent, AgentPool, reap_strays
from pools.chores import Chores
from pools.daily.client import DailyClient
from pools.daily_calls import DailyCalls
from pools.handoff import HandOffs
from pools.models import VoiceSession
from pools.notifications import Listener
from pools.pod_identity import PodNameTaken, hold_name, register
from pools.probes import Probes
from pools.room_pool import RoomPool
from pools.sessions import OnSessionEnded
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
RECONNECT_S = 0.5
CHECK_LISTENER_S = 10.0
IMPATIENT_S = 0.05  # while somebody owes us an answer
STOP_NOW_S = 2.0
DEVELOPMENT_DRAIN_S = 5.0
PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """Build it, then `run()`. Tests call `start()` and `run_once()` themselves."""

    def __init__(
        self,
        config: SupervisorConfig,
        client: DailyClient,
        on_session_ended: OnSessionEnded,
        probes: Probes | None = None,
        readiness: Callable[[], tuple[int, dict[str, Any]]] | None = None,
    ) -> None:
        """`on_session_ended` is called in the transaction that ends a session; `readiness` answers the probes."""
        self._config = config
        self._client = client
        self._on_session_ended = on_session_ended
        self._probes = probes
        self._readiness = readiness
        self._selector = selectors.DefaultSelector()
        self._signals: deque[int] = deque()
        self._watched: dict[int, Agent] = {}
        self._watched_zygote: tuple[int | None, int | None] = (None, None)  # pid and descriptor
        self._listener: Listener | None = None
        self._calls = DailyCalls()
        self._woken = True
        self._level_owed = False
        self._poll_due = self._beat_due = self._check_due = 0.0
        self._beating_since: float | None = None
        self._last_beat = 0.0
        self._database_away = False
        self._turn_ended: float | None = None
        self._reported_slots = -1
        self.draining = False
        self._drained = False
        self.reaped = False
        self.stop_at: float | None = None  # calls are told to end then
        self._stopping = False

    # --- beginning and end --------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the name, register, watch. Raises PodNameTaken and database errors; may be called again after those."""
        if self._listener:
            self._listener.close()
        self._listener = hold_name(self._config)
        self.pod = register(self._config, os.getpid(), self._on_session_ended)
        self.agents = AgentPool(self._config, self.pod)
        self.rooms = RoomPool(self._config, self.pod, self._client, self._calls)
        self.handoffs = HandOffs(self._config, self.pod, self.agents, lambda: self.rooms.signer, self._on_session_ended)
        self.chores = Chores(self._config, self.pod, self._client, self._calls, self._on_session_ended)
        self._watch_listener(self._listener)
        self._selector.register(self._calls, selectors.EVENT_READ, lambda now: None)
        become_subreaper()
        logger.info(
            "event=pod_started pod=%s agents=%d/%d rooms=%d/%d max_processes=%d method=%s",
            self.pod.name,
            self._config.agent_target,
            self._config.agent_cap,
            self._config.room_target,
            self._config.room_cap,
            self._config.max_processes,
            self._config.start_method,
        )

    def run(self) -> None:
        """Until drained, stopped or reaped."""
        reader = self._catch_signals()
        try:
            while not self.finished:
                self.run_once(self._config.poll_interval)
        finally:
            self._selector.unregister(reader)
            signal.set_wakeup_fd(-1)
            self.close()

    def run_until_filled(self, patience: float = 60.0) -> bool:
        """For `--once`: heal, reap, fill the rooms. False: not full within `patience` seconds."""
        deadline = time.monotonic() + patience
        try:
            while not (filled := self.rooms.full) and time.monotonic() < deadline:
                self.run_once(self._config.poll_interval)
            return filled
        finally:
            self.close()

    def close(self) -> None:
        """Leave nothing behind: processes are gone or go by themselves, rows say so, rooms are the others'."""
        self.agents.zygote.stop()
        for agent in self.agents.agents.values():
            if agent.handoff is None:
                agent.condemn(STOPPED)
            agent.channel.close()
        try:
            reaper.reap_pod(self.pod, "stopped", self._on_session_ended)  # if we have been reaped: what came after
        except DATABASE_AWAY as error:
            logger.warning("event=farewell_failed problem=%s", type(error).__name__)
        if self._listener:
            self._listener.close()
        if self._probes:
            self._probes.close()
        self._calls.close()
        self._selector.close()
        logger.info("event=pod_stopped pod=%s", self.pod.name)

    @property
    def finished(self) -> bool:
        """Nothing left to do: reaped or drained, and no process is left."""
        return (self.reaped or self._drained) and not self.agents.agents

    # --- signals ------------------------------------------------------------------------------------------

    def _catch_signals(self) -> socket.socket:
        """Handlers leave a note; the wake-up descriptor ends the wait."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._signal_writer = writer  # the descriptor must live as long as the handlers
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self._signals.append(number))
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(reader, selectors.EVENT_READ, lambda now: reader.recv(4096))
        return reader

    def _heed_signals(self, now: float) -> None:
        while self._signals:
            number = self._signals.popleft()
            if not self.draining:
                timeout = self._config.drain_timeout if number == signal.SIGTERM else DEVELOPMENT_DRAIN_S
                self.drain(min(timeout, self._config.drain_timeout))
            else:
                logger.warning("event=stop_now pod=%s calls=%d", self.pod.name, len(self.agents.busy()))
                self.stop_at = now

    def drain(self, timeout: float) -> None:
        """Take no more; end the idle; let calls finish for up to `timeout` seconds."""
        self.draining = self._woken = True
        self.stop_at = time.monotonic() + timeout
        logger.info("event=draining pod=%s calls=%d timeout_s=%g", self.pod.name, len(self.agents.busy()), timeout)

    # --- one turn -----------------------------------------------------------------------------------------

    def run_once(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something to happen, then do what is to be done."""
        asked = self._patience(timeout)
        began = time.monotonic()
        if self._turn_ended is not None and planner.lateness(waited=0, asked=0, worked=began - self._turn_ended):
            self._forgive(began)
        ready = self._selector.select(asked)
        now = time.monotonic()
        if planner.lateness(waited=now - began, asked=asked, worked=0):
            self._forgive(now)
        for key, _ in ready:
            key.data(now)
        self._calls.collect()
        self._heed_signals(now)
        self.handoffs.listen(now)
        try:
            self._steps(now)
        except DATABASE_AWAY as error:
            self._lost_database(error)
        self._judge(time.monotonic())
        self._watch()
        if self._probes:
            self._probes.turned()
        self._turn_ended = time.monotonic()
        if planner.lateness(waited=0, asked=0, worked=self._turn_ended - now):
            self._forgive(self._turn_ended)

    def _patience(self, timeout: float) -> float:
        now = time.monotonic()
        owed = any(
            agent.ping_sent is not None or agent.channel.eof or (agent.handoff and agent.handoff.go is None)
            for agent in self.agents.agents.values()
        )
        due = min(self._poll_due, self._next_beat, self.agents.next_deadline())
        return max(0.0, min(timeout, IMPATIENT_S if owed else max(due - now, 0.001)))

    def _steps(self, now: float) -> None:
        """In the order of urgency. Each may raise: the next turn begins again at the first."""
        if self._database_away and now < self._poll_due:
            return
        changed = self.handoffs.record(now)
        for agent in self.agents.graves():
            self._unwatch(agent)
            self.handoffs.bury(agent, now)
            self.agents.bury(agent, now)
            changed = True
        changed |= self.agents.record_ready(now)
        changed |= self.rooms.record()
        polling = now >= self._poll_due
        looking = changed or self._woken or polling
        if not (looking or self._level_owed or now >= self._next_beat):
            return
        if self._listener is None:
            self._listen_again()
        if self._beating_since is None and not self.reaped:
            self._beat(now)  # we were late: are we still somebody, before we make or hand out anything?
        if not self.reaped:
            if looking:
                self.handoffs.look(now, draining=self.draining)
            if self.handoffs.just_sent(time.monotonic()):
                self._woken, self._level_owed = False, True
                return  # a caller waits for the acknowledgement: the rest can wait for a few milliseconds
            self._level(now)
            self._beat(now)
        self._woken = self._level_owed = False
        if polling:
            self._poll_due = now + self._config.poll_interval
            self._poll(now)
        if self._database_away:
            logger.info("event=database_back pod=%s", self.pod.name)
            self._database_away = False

    def _level(self, now: float) -> None:
        if self.draining:
            self._drain_step(now)
            return
        if self._config.max_processes:
            self.agents.zygote.tend(now)
            self.agents.replenish(now)
        self.rooms.replenish(now)

    def _drain_step(self, now: float) -> None:
        if not self.pod.draining:
            self.pod.drain()
            self.pod.draining = True
            self.handoffs.look(now, draining=True)  # what was claimed up to now is handed off
        self.agents.end_stock(DRAINED)
        # A claim that won against the drain is still to be handed off, or handed back.
        self._drained = not VoiceSession.objects.assigned().filter(agent_process__pod=self.pod).exists()

    def _poll(self, now: float) -> None:
        if now >= self._check_due:
            self._check_due = now + CHECK_LISTENER_S
            self._check_listener()
        self.agents.orphans = spooled.take_in(
            self._config.agent.spool_dir, self.handoffs.sessions(), self._on_session_ended
        )
        self.chores.record()  # after the reports: they know more than the presence of a bot
        steady = 0.0 if self._beating_since is None else now - self._beating_since
        self.chores.run(now, steady=steady, daily_works=self.rooms.verified and not self.rooms.trouble)
        self.agents.agree_with_rows()
        self.agents.recycle(now)
        reap_strays(self._known_pids())
        if self._probes and self._readiness:
            self._probes.judged(*self._readiness())

    def _judge(self, now: float) -> None:
        """Who hangs, who is overdue: decided in memory, whether or not there is a database."""
        self.agents.judge(now)
        self.handoffs.judge(now)
        if self.reaped:
            self._abandon()
        elif self.stop_at is not None and now >= self.stop_at:
            self._stop_calls(now)

    def _stop_calls(self, now: float) -> None:
        if not self._stopping:
            self._stopping = True
            self.handoffs.stop_calls("pod_stopped", STOP_NOW_S, now)
        elif self.stop_at is not None and now >= self.stop_at + 2 * STOP_NOW_S:
            for agent in self.agents.agents.values():
                agent.condemn(STOPPED)

    def _abandon(self) -> None:
        """We have been reaped: what is idle or unacknowledged is others' business now; calls are let finish."""
        for agent in self.agents.agents.values():
            if agent.handoff is None or agent.handoff.go is None:
                agent.condemn("pod was reaped")

    def _forgive(self, now: float) -> None:
        """A late judge judges nobody."""
        self.agents.forgive(now)
        self._beating_since = None

    # --- heartbeat ----------------------------------------------------------------------------------------

    @property
    def _next_beat(self) -> float:
        return float("inf") if self.reaped else self._beat_due

    def _beat(self, now: float) -> None:
        slots = self.agents.free_slots
        if now < self._beat_due and slots == self._reported_slots:
            return
        trouble = self.agents.trouble or self.agents.zygote.trouble
        alive = self.pod.beat(free_slots=slots, start_method=self.agents.zygote.method, agent_trouble=trouble)
        self._reported_slots = slots
        if not alive:
            logger.error("event=pod_was_reaped pod=%s: finishing acknowledged calls, then stopping", self.pod.name)
            self.reaped = True
        if self._beating_since is None or now - self._last_beat > self._config.heartbeat_interval * 3:
            self._beating_since = now
        self._last_beat = now
        self._beat_due = now + self._config.heartbeat_interval

    # --- what is watched ----------------------------------------------------------------------------------

    def _hear(self, now: float) -> None:
        """NOTIFY: something is to be looked at."""
        self._woken = True
        try:
            if self._listener:
                self._listener.drain()
        except DATABASE_AWAY as error:
            self._drop_listener(error)

    def _watch(self) -> None:
        """Bring the selector level with the agents and the zygote there are."""
        zygote = (self.agents.zygote.pid, self.agents.zygote.fileno())
        if zygote != self._watched_zygote:  # a new one often has the descriptor that the former had
            if (former := self._watched_zygote[1]) is not None:
                self._forget(former)
            if (descriptor := zygote[1]) is not None:
                self._selector.register(descriptor, selectors.EVENT_READ, self._read_zygote)
            self._watched_zygote = zygote
        for agent in self.agents.agents.values():
            if agent.channel.eof:
                self._unwatch(agent)
            elif agent.channel.fileno() not in self._watched:
                self._watched[agent.channel.fileno()] = agent
                self._selector.register(agent.channel, selectors.EVENT_READ, self._reader(agent))
            else:  # a large session goes out in pieces, as its process reads
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if agent.channel.unsent else 0)
                if self._selector.get_key(agent.channel).events != wanted:
                    self._selector.modify(agent.channel, wanted, self._reader(agent))

    def _reader(self, agent: Agent):  # type: ignore[no-untyped-def]
        return lambda now: self.agents.read(agent, now)

    def _read_zygote(self, now: float) -> None:
        self.agents.read_zygote(now)
        self._woken = True

    def _unwatch(self, agent: Agent) -> None:
        descriptor = agent.channel.fileno()
        if self._watched.get(descriptor) is agent:
            del self._watched[descriptor]
            self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        try:
            self._selector.unregister(descriptor)
        except KeyError:
            logger.debug("event=descriptor_was_not_watched fd=%d", descriptor)

    def _known_pids(self) -> set[int]:
        pids = {agent.channel.pid for agent in self.agents.agents.values()} | {self.agents.zygote.pid}
        return {pid for pid in pids if pid is not None}

    # --- a database that goes and comes -------------------------------------------------------------------

    def _lost_database(self, error: Exception) -> None:
        if not self._database_away:
            logger.error("event=database_away pod=%s problem=%s", self.pod.name, type(error).__name__)
        self._database_away = True
        if self._probes:
            self._probes.judged(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "the database does not answer"})
        self._beating_since = None
        self._woken = True
        connection.close()
        self._poll_due = self._beat_due = time.monotonic() + RECONNECT_S

    def _check_listener(self) -> None:
        """Nothing would ever be heard on a connection that has gone silent."""
        try:
            if self._listener:
                self._listener.check()
                self._woken = True
        except DATABASE_AWAY as error:
            self._drop_listener(error)

    def _drop_listener(self, error: Exception) -> None:
        logger.warning("event=listener_lost pod=%s problem=%s", self.pod.name, type(error).__name__)
        if self._listener:
            self._forget(self._watched_listener)
            self._listener.close()
        self._listener = None

    def _listen_again(self) -> None:
        try:
            self._listener = hold_name(self._config, self.pod)
        except PodNameTaken as error:
            logger.error("event=pod_name_lost pod=%s problem=%r", self.pod.name, str(error))
            self.reaped = True
            return
        self._watch_listener(self._listener)

    def _watch_listener(self, listener: Listener) -> None:
        """By its number, which a connection that is lost no longer says."""
        self._watched_listener = listener.fileno()
        self._selector.register(self._watched_listener, selectors.EVENT_READ, self._hear)


def become_subreaper() -> None:
    """Agents whose zygote has died become our children: we see their end, and no zombies stay (prctl(2))."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
