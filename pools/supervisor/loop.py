"""The supervisor of one pod: one synchronous loop around one wait on everything.

`run_once(timeout)` is one turn: wait, read what has arrived into memory, then the steps (`_steps`) that bring rows and
processes to where they should be. A step compares what is with what should be; it does not react to single events.
So the next turn makes up for whatever was missed. Without a database a turn has no steps; what processes have reported
meanwhile is kept in memory.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import partial
from http import HTTPStatus
from math import inf
from typing import Any

from django.db import connection

from common.database import DATABASE_AWAY
from pools.agent.descendants import become_subreaper
from pools.chores import reaper
from pools.chores.fleet_chores import Chores
from pools.daily import refusals
from pools.daily.client import DailyClient
from pools.guards import Guards
from pools.http_calls import HttpCalls
from pools.kernel.strays import end_strays, reap_strays
from pools.notifications import CHORES, OVERRIDES
from pools.processes import orphans
from pools.processes.agent_in_hand import Agent
from pools.processes.agent_pool import STOPPED, AgentPool
from pools.processes.handoff import HandOffs
from pools.processes.handoff_state import Stage
from pools.processes.prejoined_pairs import PrejoinedPairs
from pools.rooms.room_pool import RoomPool
from pools.supervisor.background_tasks import BackgroundTask, BackgroundTasks
from pools.supervisor.drain import DEVELOPMENT_DRAIN_S, Drain, OutOfService
from pools.supervisor.heartbeat import Heartbeat
from pools.supervisor.lateness import Lateness
from pools.supervisor.pod_identity import PodNameTaken, register
from pools.supervisor.pod_listener import PodListener
from pools.supervisor.pod_targets import PodTargets
from pools.supervisor.probes import PodGauges, Probes, Warmth
from pools.supervisor.quick_poll import QuickPolls
from pools.supervisor.signal_notes import SignalNotes
from pools.supervisor.watching import Watching
from pools.supervisor_config import SupervisorConfig
from pools.timer import Timer

logger = logging.getLogger(__name__)

RECONNECT_S = 0.5
CHECK_LISTENER_S = 10.0
END_ORPHANS_S = 5.0
IMPATIENT_S = 0.05  # while a process owes us an answer


class Reason(IntEnum):
    """Why a turn does its steps. The stronger reason includes the weaker ones."""

    NONE = 0
    REPLENISH = 1  # a timer is due, or the last turn has left its rest to this one, because a caller waited
    CHANGE = 2  # something has changed: sessions may be there to be handed off
    POLL = 3  # the safety net: compare everything


class Supervisor:
    """Build it, then `run()`. Tests call `start()` and `run_once()` themselves."""

    def __init__(
        self,
        config: SupervisorConfig,
        client: DailyClient,
        probes: Probes | None = None,
        readiness: Callable[[], tuple[int, dict[str, Any]]] | None = None,
        gauges: PodGauges | None = None,
        background_tasks: Sequence[BackgroundTask] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`readiness` answers the probes, `gauges` tell Prometheus."""
        self._clock = clock
        self._config = config
        self._client = client
        self._probes = probes
        self._gauges = gauges or PodGauges()
        self._readiness = readiness
        self.guards = Guards()
        self._background = BackgroundTasks(background_tasks, self.guards)
        self._watching = Watching()
        self._signals = SignalNotes()
        self._listener = PodListener(config, self._watching, self._notified)
        self._calls = HttpCalls()
        self._reason = Reason.CHANGE  # for the next turn
        self._poll = Timer(config.poll_interval)
        self._read_orders = Timer()  # set off when operators have ordered something; each poll reads them too
        self._check_listener = Timer(CHECK_LISTENER_S)
        self._end_orphans = Timer(END_ORPHANS_S)
        self._end_strays = Timer(due=inf)  # set off when a process has died: it may have left children
        self._database_away = False

    # --- beginning and end --------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the name, register, watch. Raises PodNameTaken and database errors; may be called again after those."""
        self._listener.open()
        self.pod = register(self._config, os.getpid())
        self.agents = AgentPool(self._config, self.pod)
        self.rooms = RoomPool(self._config, self.pod, self._client, self._calls)
        self.targets = PodTargets(self._config, self.pod, self.agents, self.rooms)
        about_sessions = self._config, self.pod, self.agents, lambda: self.rooms.signer
        self.handoffs = HandOffs(*about_sessions, guards=self.guards, clock=self._clock)
        self.prejoined = PrejoinedPairs(*about_sessions)
        self.chores = Chores(self._config, self.pod, self._client, self._calls, self.guards)
        self.heartbeat = Heartbeat(self._config, self.pod, self.agents, self._daily_works)
        self._lateness = Lateness(self.agents.pings, self.heartbeat, self._clock)
        self._quick_polls = QuickPolls(self.agents, self.rooms, self.targets, self.chores, self._config.poll_interval)
        self._warmth = Warmth(self.agents, self.rooms)
        self._drain = Drain(self.pod, self.agents, self.handoffs, self._config.timings.stop_now, self._clock)
        self._out_of_service = OutOfService(self.pod, self.agents, self.rooms)
        self._watching.add(self._calls, lambda now: None)
        self._background.watch(self._watching)
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
        self._signals.take()
        self._watching.add(self._signals.reader, self._signals.woke)
        try:
            while not self.finished:
                self.run_once(self._config.poll_interval)
        finally:
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
            reaper.reap_pod(self.pod, "stopped")  # if we have been reaped: what came after
        except DATABASE_AWAY as error:
            logger.warning("event=farewell_failed problem=%s", type(error).__name__)
        self.release()
        logger.info("event=pod_stopped pod=%s", self.pod.name)

    def release(self) -> None:
        """Close what the supervisor itself holds open, and nothing of its agents."""
        self._listener.close()
        if self._probes:
            self._probes.close()
        self._background.close()
        self._calls.close()
        self._watching.close()
        self._signals.close()

    @property
    def reaped(self) -> bool:
        return self.heartbeat.reaped

    @property
    def finished(self) -> bool:
        """Nothing left to do: reaped or drained, and no process is left."""
        return (self.reaped or self._drain.done) and not self.agents.agents

    # --- signals ------------------------------------------------------------------------------------------

    def _heed_signals(self, now: float) -> None:
        while self._signals.pending:
            number = self._signals.pending.popleft()
            if not self._drain.begun:
                timeout = self._config.drain_timeout if number == signal.SIGTERM else DEVELOPMENT_DRAIN_S
                self.drain(min(timeout, self._config.drain_timeout))
            else:
                self._drain.hurry(now)

    def drain(self, timeout: float) -> None:
        """Take no more; end the idle; let calls finish for up to `timeout` seconds."""
        self._drain.begin(timeout)
        self._wake()

    # --- one turn -----------------------------------------------------------------------------------------

    def run_once(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something to happen, then do what is to be done."""
        now = self._wait(self._patience(timeout))
        self._calls.collect()
        self._heed_signals(now)
        try:
            self._steps(now)
        except DATABASE_AWAY as error:
            self._lost_database(error)
        self._enforce_deadlines(now)
        self.agents.pings.ask(self._clock())
        self._watching.update(self.agents, self._read_zygote)
        if self._probes:
            self._probes.turned()
        self._lateness.has_worked()

    def _patience(self, timeout: float) -> float:
        """How long the turn may wait: until the next timer is due, and not long while an answer is owed."""
        if self._reason >= Reason.CHANGE and not self._database_away:
            return 0.0
        owed = any(
            agent.ping_sent is not None or agent.channel.eof or (agent.handoff and agent.handoff.stage < Stage.RUNNING)
            for agent in self.agents.agents.values()
        )
        due = min(self._poll.due, self.heartbeat.due, self.agents.pings.next_deadline(), self._background.due)
        return max(0.0, min(timeout, IMPATIENT_S if owed else max(due - self._clock(), 0.001)))

    def _wait(self, patience: float) -> float:
        """Wait, and read what has arrived. Returns the time of this turn."""
        self._lateness.waits()
        arrived = self._watching.wait(patience)
        now = self._lateness.has_waited(patience)
        for receive in arrived:
            receive(now)
        return now

    def _steps(self, now: float) -> None:
        """The database's part of a turn, in the order of urgency. Each step may raise: the next turn begins again."""
        if self._database_away and not self._poll.is_due(now):
            return
        if self._record(now):
            self._wake()
        if self._reason is Reason.NONE and self._quick_poll(now):
            return
        reason = self._take_reason(now)
        if reason is Reason.NONE:
            return
        self._prove_identity(now)
        if not self.reaped:
            ordered = self._read_orders.take(now) or reason is Reason.POLL
            if ordered:
                self._out_of_service.poll()
            if reason >= Reason.CHANGE:
                self._background.wake()
                self._hand_off(now)
            if ordered:
                self.targets.poll(now)
            if self.handoffs.just_sent():
                self._reason = max(self._reason, Reason.REPLENISH)
                return  # a caller waits for the acknowledgement: the rest can wait for a few milliseconds
            self._replenish(now)
            self._tell_warmth()
            self.heartbeat.beat(now)
            self._background.step(self.pod, now, draining=self._draining)
        if reason is Reason.POLL:
            self._full_poll(now)
        self._found_database()

    def _wake(self) -> None:
        self._reason = max(self._reason, Reason.CHANGE)

    def _take_reason(self, now: float) -> Reason:
        """Why this turn does its steps. What comes up in them is a reason for the next turn."""
        reason, self._reason = self._reason, Reason.NONE
        if self._poll.is_due(now):
            return Reason.POLL
        timer_is_due = now >= min(self.heartbeat.due, self._background.due)
        return max(reason, Reason.REPLENISH) if timer_is_due else reason

    # --- steps --------------------------------------------------------------------------------------------

    def _record(self, now: float) -> bool:
        """Write what processes, Daily and background tasks have reported; whether there was anything."""
        changed = self.handoffs.record(now)
        refusals.write()
        for agent in self.agents.dead_processes():
            self._watching.forget_agent(agent)
            if self.guards.run(f"the end of {agent}", partial(self._remove, agent, now)):
                changed = True
                self._end_strays.set_off()
        changed |= self.agents.record_ready(now)
        changed |= self.rooms.record()
        changed |= self._background.record(now)
        return changed

    def _remove(self, agent: Agent, now: float) -> bool:
        self.handoffs.process_died(agent, now)
        self.agents.remove(agent, now)
        return True

    def _quick_poll(self, now: float) -> bool:
        """A large fleet's poll: prove life, and see that there is nothing to do. False: do the steps, if it is time."""
        if now < min(self._poll.due, self.heartbeat.due) or now >= self._background.due:
            return False
        if not (self._is_settled and self._quick_polls.will_do(now)):
            return False
        seen = self.heartbeat.quick_poll(now)
        if seen is None or not self._quick_polls.all_is_well(seen):
            self._poll.set_off()
            return False
        if self._config.max_processes:
            self.agents.zygote.tend(now)
        if self.rooms.are_coming:
            self.rooms.replenish(now)  # asks again when it may; that alone is no reason for a full poll
        self._poll.restart(now)
        self._tidy(now)
        return True

    @property
    def _is_settled(self) -> bool:
        """A pod in normal service, past its start."""
        disturbed = self.heartbeat.interrupted or self.reaped or self._draining or not self._listener.is_open
        warming = self._probes is not None and not self._probes.has_been_warm
        return not (disturbed or warming or self._config.prejoin)

    def _prove_identity(self, now: float) -> None:
        """Before anything is made or handed out: the name is ours, and after an interruption the row too."""
        if not self._listener.is_open:
            self._listen_again()
        if self.heartbeat.interrupted:
            self.heartbeat.beat(now)

    @property
    def _draining(self) -> bool:
        return self._drain.begun or self._out_of_service.in_force

    def _hand_off(self, now: float) -> None:
        self.handoffs.poll(now, draining=self._draining)
        self.prejoined.deliver()

    def _replenish(self, now: float) -> None:
        """Make up both pools; a pod that drains gives its stock up instead."""
        if self._drain.begun:
            self.prejoined.give_up()
            self._drain.step(now)
            return
        if self._config.max_processes:
            self.agents.zygote.tend(now)
        if self._out_of_service.in_force:
            self.prejoined.give_up()
            self._out_of_service.step()
            return
        if self._config.max_processes:
            self.agents.replenish(now)
        self.rooms.replenish(now)
        if self.prejoined.replenish(now):
            self._wake()  # there is something to hand off

    def _tell_warmth(self) -> None:
        if self._probes and not self._probes.has_been_warm:
            self._probes.warmed(self._warmth.missing())

    def _full_poll(self, now: float) -> None:
        self._poll.restart(now)
        spool = self._config.agent.spool_dir
        self.agents.orphans = orphans.take_in_reports(spool, self.handoffs.sessions(), self.guards)
        self.chores.record()  # after the reports: they know more than the presence of a bot
        self.chores.run(now, daily_works=self._daily_works())
        self._quick_polls.full_poll_done(now)
        self.agents.agree_with_rows()
        self.agents.recycle(now)
        if self._end_orphans.take(now):
            self.guards.run("ending what other pods have left on this host", partial(orphans.end_processes, self.pod))
        self._tidy(now)
        if self._probes and self._readiness:
            self._probes.set_readiness(*self._readiness())

    def _daily_works(self) -> bool:
        """Where Daily only refuses to make a room (there are too many), deleting is what helps."""
        rooms_can_be_had = self.rooms.verified and (self.rooms.refused or not self.rooms.trouble)
        return rooms_can_be_had and self.chores.key_works

    def _tidy(self, now: float) -> None:
        """What any poll does besides the rows."""
        if self._check_listener.take(now):
            self._listener.check()
        known = self._known_pids()
        if self._end_strays.take(now):
            end_strays(str(self.pod.uuid), known)
        reap_strays(known)
        self._gauges.note(self.pod, self.agents, self.rooms)
        self.pod.tell_task_trouble(self.guards.trouble)

    def _enforce_deadlines(self, now: float) -> None:
        """Who hangs, who is overdue: decided in memory, whether or not there is a database. `now`: when all were last
        listened to, for what they have said since then nobody has heard yet."""
        self.agents.kill_hanging(now)
        self.handoffs.kill_overdue(now)
        if self.reaped:
            self._abandon()
        else:
            self._drain.enforce_deadline(now)

    def _abandon(self) -> None:
        """We have been reaped: what is idle or unacknowledged is others' business now; calls are let finish."""
        for agent in self.agents.agents.values():
            if agent.handoff is None or not agent.handoff.told_to_go or agent.handoff.unclaimed:
                agent.condemn("pod was reaped")

    def _read_zygote(self, now: float) -> None:
        self.agents.read_zygote(now)
        self._wake()

    def _notified(self, about: set[str]) -> None:
        self._wake()
        if OVERRIDES in about:
            self._read_orders.set_off()
        if CHORES in about:
            self._poll.set_off()

    def _known_pids(self) -> set[int]:
        pids = {agent.channel.pid for agent in self.agents.agents.values()} | {self.agents.zygote.pid}
        return {pid for pid in pids if pid is not None}

    # --- a database that goes and comes -------------------------------------------------------------------

    def _lost_database(self, error: Exception) -> None:
        if not self._database_away:
            words = (
                f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"  # beyond it are the row's values
            )
            logger.error('event=database_away pod=%s problem="%s"', self.pod.name, words)
        self._database_away = True
        if self._probes:
            self._probes.set_readiness(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": "the database does not answer"})
        self.heartbeat.interrupt()
        self._wake()
        if connection.connection is None or connection.connection.closed:
            self._listener.close()  # lost as well: to find that out would take its whole deadline again
        connection.close()
        self._poll.put_off(self._clock() + RECONNECT_S)
        self.heartbeat.postpone(self._poll.due)

    def _found_database(self) -> None:
        if self._database_away:
            logger.info("event=database_back pod=%s", self.pod.name)
            self._database_away = False

    def _listen_again(self) -> None:
        try:
            self._listener.open(self.pod)
        except PodNameTaken as error:
            logger.error("event=pod_name_lost pod=%s problem=%r", self.pod.name, str(error))
            self.heartbeat.reaped = True
