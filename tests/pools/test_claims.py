"""The claim: exclusive, atomic, quick, and truthful about what it could not have."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from pools.models import AgentProcess, Pod, Room, SessionStatus, StartKind, StockStatus, VoiceSession
from pools.sessions.claims import OnDemandRoom, PoolExhausted, RoomNeeded, SessionRequest, claim
from pools.sessions.misses import Circumstances
from tests.support.make import make_agent_process, make_pod, make_room, make_session

REQUEST = SessionRequest(body={"a": 1}, life=timedelta(minutes=30))


def claimed(request: SessionRequest = REQUEST) -> VoiceSession:
    with transaction.atomic():
        return claim(request)


def values_of(row: Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.django_db
class TestClaim:
    def test_takes_an_available_pair_and_binds_it_to_a_session(self):
        process, room = make_agent_process(), make_room()
        session = claimed()
        assert (session.agent_process, session.room) == (process, room)
        assert (session.status, session.start_kind) == (SessionStatus.ASSIGNED, StartKind.WARM)
        process.refresh_from_db()
        room.refresh_from_db()
        assert process.status == room.status == StockStatus.IN_USE

    @pytest.mark.django_db(transaction=True)
    def test_refuses_to_run_outside_a_transaction(self):
        with pytest.raises(transaction.TransactionManagementError):
            claim(REQUEST)

    def test_takes_the_newest_room_and_the_newest_process(self):
        pod = make_pod()
        make_agent_process(pod), make_room()
        process, room = make_agent_process(pod), make_room()
        session = claimed()
        assert (session.agent_process, session.room) == (process, room)

    def test_takes_a_process_of_the_pod_with_the_most_free_slots(self):
        free, busy = make_pod(free_slots=9), make_pod(free_slots=2)
        for pod in (free, busy):
            make_agent_process(pod), make_room()
        process = claimed().agent_process
        assert process is not None and process.pod == free

    @pytest.mark.parametrize(
        "pod",
        [{"draining": True}, {"silent_for": 4}, {"ended_at": "2026-01-01T00:00Z"}],
        ids=["draining", "silent", "ended"],
    )
    def test_takes_nothing_of_a_pod_that_cannot_hand_off(self, pod):
        make_agent_process(make_pod(**pod)), make_room()
        with pytest.raises(PoolExhausted):
            claimed()

    def test_takes_no_room_with_less_life_left_than_a_session(self):
        make_agent_process(), make_room(life=29 * 60)
        with pytest.raises(RoomNeeded):
            claimed()

    def test_where_tokens_are_stored_takes_only_rooms_with_fresh_ones(self):
        make_agent_process(), make_room()
        request = SessionRequest(body={}, life=timedelta(minutes=30), stored_tokens=True)
        with pytest.raises(RoomNeeded):
            claimed(request)
        expiry = Room.objects.get().expires_at
        Room.objects.update(owner_token="o", guest_token="g", tokens_expire_at=expiry)
        assert claimed(request).room.guest_token == "g"

    def test_without_a_process_the_session_waits_and_the_start_is_partial(self):
        make_pod(), make_room()
        session = claimed()
        assert (session.status, session.agent_process) == (SessionStatus.WAITING, None)
        assert (session.start_kind, session.start_reason) == (StartKind.PARTIAL, "no agent process in stock")

    def test_without_a_room_takes_nothing_and_asks_for_one(self):
        process = make_agent_process()
        with pytest.raises(RoomNeeded):
            claimed()
        process.refresh_from_db()
        assert process.status == StockStatus.AVAILABLE

    def test_a_room_made_for_the_request_is_taken_though_it_was_never_stock(self):
        make_pod()
        room = make_room(StockStatus.WARMING, reserved=True, url="https://test.daily.co/x")
        with transaction.atomic():
            session = claim(REQUEST, OnDemandRoom(room, Circumstances()))
        assert (session.room, session.start_kind) == (room, StartKind.COLD)
        room.refresh_from_db()
        assert (room.status, room.reserved) == (StockStatus.IN_USE, False)

    def test_a_room_that_was_given_up_meanwhile_is_not_taken(self):
        make_pod()
        room = make_room(StockStatus.ENDED)
        with pytest.raises(PoolExhausted), transaction.atomic():
            claim(REQUEST, OnDemandRoom(room, Circumstances()))

    def test_no_more_sessions_wait_than_processes_can_come(self):
        pod = make_pod(max_processes=2)
        make_session(pod=pod)
        for _ in range(3):
            make_room()
        assert claimed().status == SessionStatus.WAITING
        with pytest.raises(PoolExhausted) as refusal:
            claimed()
        assert "limit" in refusal.value.reason
        assert refusal.value.retry_after >= 1

    def test_a_warming_process_is_worth_waiting_for(self):
        pod = make_pod(max_processes=1)
        make_agent_process(pod, StockStatus.WARMING), make_room()
        assert claimed().status == SessionStatus.WAITING

    def test_nobody_waits_for_a_pod_whose_agents_do_not_start(self):
        make_pod(agent_trouble="warm-up failed: no module named bots"), make_room()
        with pytest.raises(PoolExhausted, match="no agent process starts"):
            claimed()

    def test_without_a_live_pod_it_says_so(self):
        make_room()
        with pytest.raises(PoolExhausted, match="no live pod"):
            claimed()

    def test_what_is_returned_is_what_the_row_says(self):
        make_agent_process(), make_room()
        asked = SessionRequest(body={"a": [1]}, life=REQUEST.life, reference=uuid.uuid4(), request_key="k", arrived=1.0)
        with transaction.atomic():
            session = claim(asked)
        row = VoiceSession.objects.get()
        assert values_of(session) == values_of(row) and values_of(session.room) == values_of(row.room)
        assert VoiceSession.objects.filter(circumstances__isnull=True).exists()  # NULL, not JSON's null

    def test_costs_two_statements(self):
        make_agent_process(), make_room()
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            claim(REQUEST)
        assert len(queries) == 2, [query["sql"] for query in queries]


@pytest.mark.django_db
class TestSchema:
    """Whoever writes: impossible states do not get in."""

    def refuses(self, rows, **values):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**values)

    def test_a_room_or_a_process_serves_one_session_ever(self):
        session = make_session()
        with pytest.raises(IntegrityError), transaction.atomic():
            make_session(room=session.room)
        with pytest.raises(IntegrityError), transaction.atomic():
            make_session(agent_process=session.agent_process)

    def test_impossible_states_are_refused(self):
        pod = make_pod()
        make_session(pod=pod), make_room(), make_agent_process(pod)
        self.refuses(Room.objects.available(), url="")
        self.refuses(Room.objects.available(), reserved=True)
        self.refuses(Room.objects.available(), status="ended")
        self.refuses(Room.objects.available(), ended_at="2026-01-01T00:00Z")
        self.refuses(Room.objects.available(), deleted_at="2026-01-01T00:00Z")
        self.refuses(AgentProcess.objects.available(), on_demand=True)
        self.refuses(AgentProcess.objects.available(), os_pid=None)
        self.refuses(VoiceSession.objects.active(), agent_process=None)
        self.refuses(VoiceSession.objects.active(), status="waiting")
        self.refuses(VoiceSession.objects.active(), active_at=None)
        self.refuses(VoiceSession.objects.active(), status="ended")
        self.refuses(Pod.objects.all(), agent_target=9)

    def test_a_name_belongs_to_one_current_pod(self):
        pod = make_pod("a")
        with pytest.raises(IntegrityError), transaction.atomic():
            make_pod("a")
        pod.end("test")
        make_pod("a")


def in_threads(number: int, work) -> list:
    """Run `work(i)` in `number` threads that begin together; results in order. Closes their connections."""
    gate = threading.Barrier(number)

    def one(i: int):
        try:
            gate.wait(10)
            return work(i)
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_two_hundred_claims_from_sixteen_threads_hand_out_no_pair_twice(self):
        pods = [make_pod(max_processes=200) for _ in range(3)]
        for i in range(200):
            make_agent_process(pods[i % 3]), make_room()
        for _ in range(16):  # each thread may end with a session that waits, and has a room
            make_room()

        def claim_many(_: int) -> list[tuple[int, int]]:
            pairs: list[tuple[int, int]] = []
            while True:
                try:
                    session = claimed()
                except (RoomNeeded, PoolExhausted):
                    return pairs
                if session.agent_process_id is None:  # what others hold locked looks like none
                    return pairs
                pairs.append((session.room_id, session.agent_process_id))

        pairs: list[tuple[int, int]] = [pair for found in in_threads(16, claim_many) for pair in found]
        for _ in range(200 - len(pairs)):  # what was skipped because somebody held it at that moment
            pairs += [
                (session.room_id, session.agent_process_id) for session in [claimed()] if session.agent_process_id
            ]
        rooms, processes = zip(*pairs, strict=True)
        assert len(set(rooms)) == len(rooms) == len(set(processes)) == len(processes)
        assert Room.objects.in_use().count() == VoiceSession.objects.count()
        assert AgentProcess.objects.in_use().count() == len(processes)

    def test_cold_claims_at_once_do_not_all_see_the_last_slot(self):
        make_pod(max_processes=3)
        for _ in range(8):
            make_room()

        def try_claim(_: int) -> bool:
            try:
                claimed()
            except PoolExhausted:
                return False
            return True

        assert sum(in_threads(8, try_claim)) == 3
        assert VoiceSession.objects.waiting().count() == 3

    def test_claims_racing_heartbeats_and_a_drain_lose_nothing(self):
        pod = make_pod(max_processes=100)
        for _ in range(40):
            make_agent_process(pod), make_room()

        def race(i: int) -> int:
            if i == 0:
                for _ in range(50):
                    pod.beat(free_slots=5, start_method="zygote", agent_trouble="")
                return 0
            if i == 1:
                Pod.objects.get(pk=pod.pk).drain()
                ended = sum(process.end("drained", was=StockStatus.AVAILABLE) for process in AgentProcess.objects.all())
                return ended
            won = 0
            for _ in range(10):
                try:
                    won += claimed().agent_process_id is not None
                except PoolExhausted:
                    break
            return won

        results = in_threads(6, race)
        drained, won = results[1], sum(results[2:])
        assert drained + won == 40
        assert AgentProcess.objects.in_use().count() == won == VoiceSession.objects.assigned().count()
        assert AgentProcess.objects.filter(status=StockStatus.ENDED).count() == drained


@pytest.mark.django_db(transaction=True)  # VACUUM: what the tests before have left behind must not sway the planner
def test_the_claim_reads_through_its_partial_indexes():
    pod = make_pod()
    Room.objects.bulk_create(
        Room(name=f"r{i}", status="ended", ended_at="2026-01-01T00:00Z", expires_at="2026-01-01T00:00Z")
        for i in range(3000)
    )
    AgentProcess.objects.bulk_create(
        AgentProcess(pod=pod, status="ended", ended_at="2026-01-01T00:00Z") for _ in range(3000)
    )
    for _ in range(20):
        make_agent_process(pod), make_room()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (FULL, ANALYZE) pools_room, pools_agentprocess")
    pod.beat(free_slots=20, start_method="zygote", agent_trouble="")
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        claim(REQUEST)
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + next(query["sql"] for query in queries if "SKIP LOCKED" in query["sql"]))
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "agent_claim" in plan and "room_claim" in plan, plan
    assert not any(f"Seq Scan on {table}" in plan for table in ("pools_room", "pools_agent")), plan
