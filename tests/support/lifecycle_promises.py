"""What holds of sessions, processes, rooms and leads at every moment, whatever has happened to them.

The base of a Hypothesis state machine whose rules are in test_lifecycle_stateful.py: who there is, what has been seen
of them so far, and the invariants.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable

from hypothesis.stateful import RuleBasedStateMachine, invariant

from leads.models import Lead, LeadStatus
from leads.outcomes import session_ended
from pools.decisions.planner import MAX_ATTEMPTS
from pools.models import AgentProcess, Room, SessionStatus, StockStatus, VoiceSession
from pools.sessions import owner
from pools.sessions.ending import NOT_STARTED
from pools.supervisor_config import SupervisorConfig
from tests.support.played_agents import PlayedAgent, PlayedPod

STOCK_ORDER = StockStatus.values
SESSION_ORDER = SessionStatus.values
SUPERVISOR_LOST = "supervisor_lost"


class Promises(RuleBasedStateMachine):
    def __init__(self, config: Callable[..., SupervisorConfig], most_pods: int, daily_url: str) -> None:
        super().__init__()
        self.former_owner = owner.register(owner.Owner(self.ended))  # until `teardown`
        self.config = config
        self.most_pods = most_pods
        self.daily_url = daily_url
        self.clock = time.monotonic()
        self.pods: list[PlayedPod] = []
        self.reasons: dict[int, str] = {}  # of the ends that we were told of
        self.served: defaultdict[int, set[int]] = defaultdict(set)
        self.ranks: dict[tuple[str, int], tuple[int, int]] = {}
        self.went: dict[str, float] = {}  # when an agent was told to go, by its uuid
        self.leads: list[int] = []
        self.keys: dict[int, str] = {}

    def ended(self, session: VoiceSession) -> None:
        """Told once; and once more if the report of a call comes in after all, whose supervisor was lost."""
        assert self.reasons.get(session.pk, SUPERVISOR_LOST) == SUPERVISOR_LOST, "told again of an end"
        self.reasons[session.pk] = session.end_reason
        session_ended(session)

    def teardown(self) -> None:
        owner.register(self.former_owner)

    def turning(self) -> list[PlayedPod]:
        return [pod for pod in self.pods if pod.turning]

    def agents(self, wanted: Callable[[PlayedAgent], bool] = lambda agent: True) -> list[PlayedAgent]:
        return [agent for pod in self.pods for agent in pod.zygote.agents if agent.acting and wanted(agent)]

    @invariant()
    def check(self) -> None:
        calls = Counter(agent.call[0] for agent in self.agents(lambda agent: agent.in_call))
        assert all(number == 1 for number in calls.values()), "two bots in one room"
        current = set()
        columns = ("pk", "status", "attempt", "end_reason", "agent_process", "room__status", "lead__status")
        for pk, status, attempt, reason, process, room, lead in VoiceSession.objects.values_list(*columns):
            assert attempt <= MAX_ATTEMPTS
            assert self.reasons.get(pk, "") == reason
            self.moves("session", pk, SESSION_ORDER.index(status), attempt)
            if process:
                self.served[process].add(pk)
            if status != SessionStatus.ENDED:
                current.add(pk)
                assert room == StockStatus.IN_USE
            else:
                assert room == StockStatus.ENDED
                assert lead == (None if reason == NOT_STARTED else LeadStatus.FINISHED)
        assert all(len(sessions) == 1 for sessions in self.served.values()), "a process was given two sessions"
        processing = Lead.objects.filter(status=LeadStatus.PROCESSING).values_list("voice_session", flat=True)
        assert set(processing) == current
        self.check_stock()

    def check_stock(self) -> None:
        for pk, status in Room.objects.values_list("pk", "status"):
            self.moves("room", pk, STOCK_ORDER.index(status))
        stock: Counter[int] = Counter()
        for pk, status, pod_pk in AgentProcess.objects.values_list("pk", "status", "pod"):
            self.moves("agent process", pk, STOCK_ORDER.index(status))
            stock[pod_pk] += status in (StockStatus.WARMING, StockStatus.AVAILABLE)
        for pod in self.pods:
            assert stock[pod.row.pk] <= pod.config.agent_cap

    def moves(self, kind: str, pk: int, rank: int, attempt: int = 1) -> None:
        """Statuses only move right, unless it is another attempt."""
        before = self.ranks.get((kind, pk), (0, 0))
        assert (attempt, rank) >= before, f"{kind} moved back"
        self.ranks[kind, pk] = (attempt, rank)
