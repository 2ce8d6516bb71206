"""What does not go through between a pod and its processes, or into PostgreSQL, costs one session and no pod."""

from collections.abc import Iterator
from typing import Any

import pytest

from leads.connect import connect
from leads.models import ExecutionMode, Lead, LeadStatus
from pools.models import AgentProcess, Room, StockStatus, VoiceSession
from pools.processes.handoff_state import Handoff
from pools.processes.prejoined_pairs import PrejoinedPairs
from pools.protocol import MAX_FRAME_BYTES, Ended
from pools.sessions.ending import ask_to_end
from tests.support.make import make_daily_account, make_lead, make_room, make_session
from tests.support.played_agents import SIGNER, PlayedAgent, PlayedPod
from tests.support.service import supervisor_config

pytestmark = pytest.mark.django_db

# Each takes 6 bytes of a request and 309 of a message: PostgreSQL keeps them as whole numbers.
MANY_BYTES = {"numbers": [1e308] * (MAX_FRAME_BYTES // 300)}


@pytest.fixture
def pod(tmp_path, settings) -> Iterator[PlayedPod]:
    settings.DAILY_API_KEY = "a-daily-api-key-of-the-test-long-enough-for-hs256"
    make_daily_account()
    played = PlayedPod(supervisor_config(tmp_path, agent_target=1, room_target=0))
    yield played
    played.crash()


def ready(pod: PlayedPod) -> PlayedAgent:
    pod.turn(0.0)
    (agent,) = pod.zygote.agents
    agent.act()
    pod.turn(0.1)
    assert AgentProcess.objects.get().status == StockStatus.AVAILABLE
    return agent


def connected(**values: Any) -> Lead:
    lead = make_lead(**values)
    make_room()
    connect(lead_uuid=lead.uuid, leads=Lead.objects.all(), holder="test")
    return lead


def test_a_session_with_more_than_a_process_can_be_told_ends_and_says_so(pod):
    agent = ready(pod)
    lead = connected(payload=MANY_BYTES)
    pod.turn(0.2)
    lead.refresh_from_db()
    assert (lead.status, lead.end_reason) == (LeadStatus.FINISHED, "body_too_large")
    assert lead.voice_session is not None and "at most" in lead.voice_session.detail["problem"]
    assert Room.objects.get().status == StockStatus.ENDED
    agent.die()
    pod.turn(0.3)
    assert AgentProcess.objects.get(uuid=agent.uuid).status == StockStatus.ENDED


def test_nor_is_a_telephone_tried_again_for_it():
    session = make_session("assigned", outbound=True)
    lead = make_lead(LeadStatus.PROCESSING, voice_session=session, execution_mode=ExecutionMode.TELEPHONY)
    ask_to_end(session.uuid, "body_too_large")
    lead.refresh_from_db()
    assert (lead.status, lead.outcome) == (LeadStatus.FINISHED, "PRECHECK_FAILED")


def test_a_prejoined_pair_that_is_claimed_with_too_much_ends_too(pod):
    agent = ready(pod)
    prejoined = PrejoinedPairs(pod.config, pod.row, pod.pool, lambda: SIGNER)
    process = AgentProcess.objects.get()
    session = make_session(room=make_room("in_use"), agent_process=process, start_kind="prejoined", body=MANY_BYTES)
    AgentProcess.objects.update(status=StockStatus.IN_USE)
    pod.pool.agents[process.pk].handoff = Handoff.of(VoiceSession(pk=session.pk, uuid=session.uuid, unclaimed=True))
    prejoined.deliver()
    session.refresh_from_db()
    assert session.end_reason == "body_too_large"
    assert not prejoined.unclaimed() and agent.acting


def test_a_call_whose_row_a_failover_has_lost_ends_with_its_process(pod):
    agent = ready(pod)
    lead = connected()
    pod.turn(0.2)
    agent.hear()
    agent.acknowledge()
    pod.turn(0.3)
    agent.join()
    Lead.objects.filter(pk=lead.pk).update(status=LeadStatus.BACKLOG, voice_session=None)
    VoiceSession.objects.all().delete()
    agent.end_call("bot_ended")
    agent.die(0)
    pod.turn(0.4)
    assert not AgentProcess.objects.current().filter(uuid=agent.uuid).exists()


@pytest.mark.parametrize("joined", [True, False], ids=["in the call", "before it"])
def test_a_nul_character_in_a_bots_error_is_left_out(pod, joined):
    agent = ready(pod)
    lead = connected()
    pod.turn(0.2)
    agent.hear()
    agent.acknowledge()
    pod.turn(0.3)
    if joined:
        agent.join()
    agent.in_call = False
    agent._say(Ended(agent.call[0], "bot_error", error="ValueError: embedded null \0 byte"))
    agent.die(0)
    pod.turn(0.4)
    session = VoiceSession.objects.get()
    kept = session.detail["error"] if joined else session.failed_handoffs[0]["problem"]
    assert kept == "ValueError: embedded null  byte"
    assert Lead.objects.get(pk=lead.pk).status == (LeadStatus.FINISHED if joined else LeadStatus.PROCESSING)
