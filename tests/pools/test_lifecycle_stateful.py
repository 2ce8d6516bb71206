"""Whatever happens to sessions, processes and pods, in whatever order: every session ends exactly once, nothing serves
two, no lead is left in PROCESSING, no constraint is hit. Hypothesis makes up the events, PostgreSQL is real, the
processes are played (tests/support/played_agents.py)."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest
from django.db import connection
from django.db.models import F
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from leads.connect import LeadNotConnectable, connect
from leads.models import Lead, LeadStatus
from pools.chores import reaper
from pools.daily.account import daily_client
from pools.guards import Guards
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.processes import orphans
from pools.sessions import on_demand
from pools.sessions.claims import PoolExhausted
from pools.sessions.ending import ask_to_end
from pools.supervisor_config import SupervisorConfig
from tests.support.lifecycle_promises import Promises
from tests.support.make import make_daily_account, make_lead, make_room, make_template
from tests.support.played_agents import PlayedDaily, PlayedPod
from tests.support.properties import REPEATABLE
from tests.support.service import supervisor_config

EVERYTHING = """
DELETE FROM leads_lead; DELETE FROM leads_template; DELETE FROM leads_apitoken; DELETE FROM pools_voicesession;
DELETE FROM pools_agentprocess; DELETE FROM pools_room; DELETE FROM pools_pod; DELETE FROM pools_dailyaccount;
DELETE FROM pools_dailybudgetslot"""
JOIN_TIMEOUT_S = 8.0
TURN_S = 0.05  # longer than a Start keeps the loop free for its answer
ROUNDS_TO_REST = 40

# No shrinking: it takes minutes. To look into a failure, add Phase.shrink.
RUNS = settings(REPEATABLE, max_examples=10, stateful_step_count=30, phases=[Phase.generate])

T = TypeVar("T")
choice = st.integers(0, 11)


def pick(among: Sequence[T], which: int) -> T:
    return among[which % len(among)]


def agents_there(machine: "Lifecycle") -> bool:
    return bool(machine.agents())


def pods_turning(machine: "Lifecycle") -> bool:
    return bool(machine.turning())


class Lifecycle(Promises):
    @initialize(rooms=st.integers(0, 6), pods=st.integers(0, 11), rounds=st.integers(0, 2))
    def beginning(self, rooms: int, pods: int, rounds: int) -> None:
        make_daily_account()
        self.template = make_template()
        self.rooms_arrive(rooms, "stock")
        for number in range(1 + pods % self.most_pods):
            self.start_pod(f"pod-{number}")
        self.life_goes_on(rounds, restart=False)

    # --- callers ------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 3), with_key=st.booleans())
    def leads_connect(self, number: int, with_key: bool) -> None:
        for _ in range(number):
            lead = make_lead(template=self.template)
            if with_key:
                self.keys[lead.pk] = f"key-{lead.pk}"
            self.leads.append(lead.pk)
            self.connect_lead(lead.pk)

    @precondition(lambda self: self.leads)
    @rule(which=choice)
    def lead_connects_again(self, which: int) -> None:
        """A client's retry, or a second try for a lead that is back in its backlog."""
        self.connect_lead(pick(self.leads, which))

    def connect_lead(self, pk: int) -> None:
        lead = Lead.objects.select_related("voice_session").get(pk=pk)
        key, session = self.keys.get(lead.pk), lead.voice_session
        under_way = session is not None and session.status != SessionStatus.ENDED
        try:
            connected = connect(lead_uuid=lead.uuid, leads=Lead.objects.all(), holder="test", idempotency_key=key)
        except PoolExhausted:
            assert lead.status == LeadStatus.BACKLOG == Lead.objects.get(pk=lead.pk).status
        except LeadNotConnectable:
            assert lead.status != LeadStatus.BACKLOG and not (key and under_way)
        else:
            assert lead.status == LeadStatus.BACKLOG or (session and key and connected.session_id == session.uuid)

    @precondition(lambda self: self.leads)
    @rule(which=choice)
    def operator_ends_a_session(self, which: int) -> None:
        session = VoiceSession.objects.filter(lead=pick(self.leads, which)).first()
        if session:
            ask_to_end(session.uuid, "ended_by_operator")

    # --- rooms --------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 3), fate=st.sampled_from(["stock", "stock", "given back", "forgotten"]))
    def rooms_arrive(self, number: int, fate: str) -> None:
        """For the stock, or for requests that then do not claim them: another was faster, or they have died."""
        for _ in range(number):
            if fate == "stock":
                make_room()
                continue
            room = make_room(StockStatus.WARMING, reserved=True, url="https://test.daily.co/reserved")
            if fate == "given back":
                on_demand.give_back(room)

    # --- agents and pods ----------------------------------------------------------------------------------

    @rule(rounds=st.integers(1, 3), leads=st.integers(0, 3), restart=st.booleans())
    def life_goes_on(self, rounds: int, leads: int = 0, restart: bool = True) -> None:
        """All do what they should, and callers come. `restart`: new pods take the place of those that do not turn."""
        for _ in range(self.most_pods - len(self.turning()) if restart else 0):
            self.start_pod(f"pod-{len(self.pods)}")
        if leads:
            self.leads_connect(leads, with_key=False)
        for _ in range(rounds):
            for agent in self.agents():
                agent.act()
            for pod in self.turning():
                self.turn(pod)

    @precondition(agents_there)
    @rule(which=choice)
    def agent_acts(self, which: int) -> None:
        pick(self.agents(), which).act()

    @precondition(agents_there)
    @rule(which=choice)
    def agent_dies(self, which: int) -> None:
        pick(self.agents(lambda agent: agent.busy) or self.agents(), which).die()

    @precondition(lambda self: self.agents(lambda agent: agent.in_call))
    @rule(which=choice, reason=st.sampled_from(["caller_left", "bot_error", "join_failed"]))
    def call_ends(self, which: int, reason: str) -> None:
        agent = pick(self.agents(lambda agent: agent.in_call), which)
        agent.end_call("bot_error" if agent.joined and reason == "join_failed" else reason)

    def start_pod(self, name: str) -> None:
        slots = 4 + len(self.pods) % 2  # seldom as many free ones as another pod: the claim would throw dice
        config = self.config(pod_name=name, agent_target=2, room_target=0, max_processes=slots)
        self.pods.append(PlayedPod(config, PlayedDaily(self.bots_in_rooms, self.daily_url), now=self.clock))

    def bots_in_rooms(self) -> set[str]:
        return {agent.call[0] for agent in self.agents(lambda agent: agent.in_call and agent.joined)}

    @precondition(lambda self: self.killed())
    @rule(which=choice)
    def pod_starts_again(self, which: int) -> None:
        """Under its name: its former incarnation is taken over."""
        name = pick(self.killed(), which)
        self.start_pod(name)

    def killed(self) -> list[str]:
        """Names that are free."""
        return sorted({pod.row.name for pod in self.pods} - {pod.row.name for pod in self.pods if not pod.gone})

    @precondition(pods_turning)
    @rule(which=choice)
    def pod_turns(self, which: int) -> None:
        self.turn(pick(self.turning(), which))

    def turn(self, pod: PlayedPod) -> None:
        for agent in pod.zygote.agents:
            if agent.alive and agent.channel.killed:
                agent.die()
        self.clock += TURN_S
        pod.turn(self.clock)
        for agent in self.agents(lambda agent: agent.in_call):
            self.went.setdefault(agent.uuid, self.clock)

    @precondition(pods_turning)
    @rule(which=choice)
    def pod_judges_the_overdue(self, which: int) -> None:
        pick(self.turning(), which).handoffs.kill_overdue(self.clock + 10)

    @precondition(pods_turning)
    @rule(
        which=choice,
        fault=st.sampled_from(["killed", "killed and started again", "paused", "drained", "stopped"]),
        leads=st.integers(0, 2),
        turns=st.booleans(),
    )
    def pod_leaves(self, which: int, fault: str, leads: int, turns: bool) -> None:
        """In the middle of what it does: with sessions that it has not seen, or has just handed out (`turns`)."""
        pod = pick(self.turning(), which)
        if leads:
            self.leads_connect(leads, with_key=False)
        if turns:
            self.turn(pod)
        if pod.gone:
            return
        match fault:
            case "killed":
                pod.crash()
            case "killed and started again":
                pod.crash()
                self.start_pod(pod.row.name)
            case "paused":
                pod.paused = True
            case "drained" | "stopped":
                pod.supervisor.drain(0 if fault == "stopped" else 3600)
                self.turn(pod)

    @precondition(lambda self: self.paused())
    @rule(which=choice)
    def pod_goes_on(self, which: int) -> None:
        pod = pick(self.paused(), which)
        pod.paused = False
        self.turn(pod)  # with what it had not read: acknowledgements that come too late

    @precondition(pods_turning)
    @rule(which=choice, seconds=st.sampled_from([5, 12]), leads=st.integers(1, 3), at_once=st.booleans())
    def pod_sleeps_past_its_lease(self, which: int, seconds: float, leads: int, at_once: bool) -> None:
        """Another pod goes on with what it had. Its agents acknowledge `at_once` and wait for Go in vain, or only just
        before it wakes: then its own acknowledgement in the row has to fail."""
        pod = pick(self.turning(), which)
        self.leads_connect(leads, with_key=False)
        self.turn(pod)
        if pod.gone:
            return
        for agent in self.agents(lambda agent: agent.asked and at_once):
            agent.acknowledge()
        pod.paused = True
        if not self.turning():
            self.start_pod(f"pod-{len(self.pods)}")
        self.clock += seconds
        back = timedelta(seconds=seconds)
        Pod.objects.filter(pk=pod.row.pk).update(heartbeat_at=F("heartbeat_at") - back)
        self.time_passes_and_a_pod_does_the_chores(0, seconds=0)
        self.life_goes_on(2, restart=False)
        pod.paused = False
        self.turn(pod)

    def paused(self) -> list[PlayedPod]:
        return [pod for pod in self.pods if pod.paused and not pod.gone]

    # --- time and reapers ---------------------------------------------------------------------------------

    def time_passes(self, seconds: float) -> None:
        """Everything is older; only pods that turn have sent heartbeats meanwhile."""
        self.clock += seconds
        back = timedelta(seconds=seconds)
        silent = [pod.row.pk for pod in self.pods if not pod.turning]
        Pod.objects.filter(pk__in=silent).update(heartbeat_at=F("heartbeat_at") - back)
        Room.objects.update(created_at=F("created_at") - back)
        VoiceSession.objects.update(created_at=F("created_at") - back, active_at=F("active_at") - back)
        for agent in self.agents(lambda agent: agent.started is not None):
            if not agent.was_told:
                agent.die(0)  # it waits for Go no longer than a second
            elif agent.in_call and not agent.joined and self.clock - self.went[agent.uuid] >= JOIN_TIMEOUT_S:
                agent.end_call("join_timeout")

    @precondition(pods_turning)
    @rule(which=choice, seconds=st.sampled_from([0, 5, 12, 70]))
    def time_passes_and_a_pod_does_the_chores(self, which: int, seconds: float) -> None:
        self.time_passes(seconds)
        pod = pick(self.turning(), which)
        self.turn(pod)
        if pod.gone or pod.supervisor.reaped or not pod.config.agent.spool_dir:
            return
        orphans.take_in_reports(pod.config.agent.spool_dir, pod.handoffs.sessions(), Guards())
        others = Pod.objects.exclude(pk=pod.row.pk)
        reaper.take_back_unacknowledged(others.silent())
        reaper.take_back_unacknowledged(others.ended())
        reaper.reap_lost_pods(others.lost())
        reaper.settle_ended_pods()
        reaper.reap_reserved_rooms()
        reaper.end_overdue_waiting(pod.config.waiting_timeout)
        abandoned = reaper.abandoned_calls()
        reaper.end_abandoned_calls(abandoned, self.bots_in_rooms(), JOIN_TIMEOUT_S)

    # --- the end of a run ---------------------------------------------------------------------------------

    def teardown(self) -> None:
        """From wherever it has come to, all faults over: everything comes to rest by itself."""
        try:
            if hasattr(self, "template"):
                self.come_to_rest()
        finally:
            for pod in self.pods:
                pod.crash()
            for agent in self.agents(lambda agent: True):
                agent.die()
            with connection.cursor() as cursor:
                cursor.execute(EVERYTHING)
            super().teardown()

    def come_to_rest(self) -> None:
        for pod in self.pods:
            pod.paused = False
        for round_ in range(ROUNDS_TO_REST):
            self.life_goes_on(1)
            self.check()
            if not VoiceSession.objects.current().exists():
                break
            if round_ % 5 == 4:
                self.time_passes_and_a_pod_does_the_chores(0, seconds=12)
                self.check()
        assert not VoiceSession.objects.current().exists(), "a session that never ends"
        assert not Lead.objects.filter(status=LeadStatus.PROCESSING).exists()
        assert not Room.objects.in_use().exists()
        self.time_passes_and_a_pod_does_the_chores(0, seconds=0)
        left = AgentProcess.objects.current().filter(pod__ended_at__isnull=False)
        assert not left.exists(), "a process of a pod that has ended, for ever"


@pytest.mark.timeout(400)  # some seconds of one core, which a busy machine may not have to give
@pytest.mark.parametrize("most_pods", [2, 3])
def test_every_session_ends_exactly_once_whatever_happens(transactional_db, sandbox, settings, tmp_path, most_pods):
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key
    sandbox.set_limits(enabled=False)
    daily_client.cache_clear()

    def config(**values: Any) -> SupervisorConfig:
        return supervisor_config(tmp_path, **values)

    machine: Any = partial(
        Lifecycle, config, most_pods, sandbox.api_url
    )  # annotated as a class, but anything that makes one will do
    try:
        run_state_machine_as_test(machine, settings=RUNS)
    finally:
        daily_client.cache_clear()
