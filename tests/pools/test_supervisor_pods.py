"""Several pods on one database: they share the stock and the work, and none takes what is another's."""

import threading

import pytest
from django.db import connection

from leads.connect import connect
from leads.models import Lead
from pools.models import AgentProcess, Pod, SessionStatus, VoiceSession
from pools.sessions.claims import PoolExhausted
from pools.supervisor.pod_identity import PodNameTaken
from tests.support.make import make_lead
from tests.support.service import DEADLINE, connect_lead, is_full, run_until, together
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")


def test_calls_spread_over_the_pods(pods, sandbox):
    first, second = pods.start_full(), pods.start_full()
    first.run_once(0)  # a fresh heartbeat
    for _ in range(4):
        call = connect_lead(sandbox)
        run_until(first, together(call.bot_has_joined, second))
    run_until(first, together(lambda: is_full(first) and is_full(second), second))
    used = AgentProcess.objects.in_use().values_list("pod", flat=True)
    assert sorted(used) == sorted([first.pod.pk, second.pod.pk] * 2)


def test_a_session_that_waits_is_served_by_the_pod_that_has_a_slot(pods, sandbox):
    full, free = pods.start_full(agent_target=1, max_processes=1), pods.start_full(agent_target=0)
    run_until(free, together(lambda: free.agents.zygote.zygote is not None, full))
    calls = [connect_lead(sandbox) for _ in range(2)]
    for call in calls:
        run_until(full, together(call.bot_has_joined, free))
    assert {call.process.pod for call in calls} == {full.pod, free.pod}


def test_each_waiting_session_is_taken_once(pods, sandbox):
    first, second = pods.start_full(agent_target=0, room_target=3), pods.start_full(agent_target=0, room_target=3)
    run_until(first, together(lambda: bool(first.agents.zygote.zygote and second.agents.zygote.zygote), second))
    calls = [connect_lead(sandbox) for _ in range(6)]
    for call in calls:
        run_until(first, together(call.bot_has_joined, second))
    run_until(first, together(lambda: AgentProcess.objects.current().count() == 6, second))
    assert [len(call.people()) for call in calls] == [1] * 6


def test_a_burst_beyond_the_stock_from_many_clients_is_served(pods, sandbox):
    pod = pods.start_full(agent_target=2, room_target=8, max_processes=12)
    leads = [make_lead() for _ in range(8)]
    failed: list[Exception] = []

    def is_served(lead: Lead) -> bool:
        try:
            connect(lead_uuid=lead.uuid, leads=Lead.objects.all(), holder="test")
        except PoolExhausted:  # a pod is not live whose loop this test, without a processor, has not turned for 3 s
            return False
        return True

    def ask(lead: Lead) -> None:
        try:
            wait_until(lambda: is_served(lead), DEADLINE)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    clients = [threading.Thread(target=ask, args=(lead,)) for lead in leads]
    for client in clients:
        client.start()
    run_until(pod, lambda: failed or VoiceSession.objects.exclude(bot_joined_at=None).count() == 8)
    for client in clients:
        client.join()
    assert failed == []
    sessions = VoiceSession.objects.filter(status=SessionStatus.ACTIVE)
    assert len(set(sessions.values_list("room", "agent_process"))) == 8
    run_until(pod, lambda: is_full(pod))
    assert AgentProcess.objects.current().count() == 8 + 2


def test_the_name_of_a_running_pod_is_not_taken(pods):
    first = pods.start_full(pod_name="north-1")
    with pytest.raises(PodNameTaken, match="north-1 is running on test-host"):
        pods.start(pod_name="north-1")
    first.run_once(0)
    assert Pod.objects.get() == first.pod


def test_the_name_of_a_pod_that_has_ended_is_free(pods):
    pods.close(pods.start_full(pod_name="north-1"))
    second = pods.start_full(pod_name="north-1")
    assert Pod.objects.current().get() == second.pod
    assert Pod.objects.count() == 2


def test_names_that_a_hash_of_32_bits_cannot_tell_apart_are_two_pods(pods, caplog):
    names = ["pod-66346", "pod-133576"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT hashtext(name)) FROM unnest(%s::text[]) AS name", [names])
        assert cursor.fetchone() == (1,)
    first, second = (pods.start(pod_name=name, agent_target=0, max_processes=0, room_target=1) for name in names)
    run_until(first, together(lambda: is_full(first) and is_full(second), second))
    assert "pod_name_taken_over" not in caplog.text and "listener_lost" not in caplog.text
    assert set(Pod.objects.live().values_list("name", flat=True)) == set(names)
