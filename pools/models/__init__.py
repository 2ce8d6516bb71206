"""The rows of the pools: pods, rooms, agent processes, voice sessions. PostgreSQL is the truth.

Statuses only move right (a voice session may go back from assigned to waiting: a hand-off that failed). Every change of
a status is a guarded update: it names the status that it leaves. If no row changed, another process was faster, which
is normal. Constraints rule out double use and impossible states. Leases and expiries are judged by PostgreSQL's clock
(`Now()`).
"""

from pools.models.counters import EventCounter, PoolSample, SessionCounter, VersionCounter
from pools.models.daily import DailyAccount, DailyBudgetSlot, DailyRefusals, SeenDailyEvent
from pools.models.operators import OperatorAction, PoolOverride, Rollout
from pools.models.pods import HANDOFF_LEASE, REAP_LEASE, Pod
from pools.models.stock import AgentProcess, Room, StockStatus, StoredTokens
from pools.models.voice_sessions import IN_STOCK, SessionStatus, StartKind, VoiceSession

__all__ = [
    "HANDOFF_LEASE",
    "IN_STOCK",
    "REAP_LEASE",
    "AgentProcess",
    "DailyAccount",
    "DailyBudgetSlot",
    "DailyRefusals",
    "EventCounter",
    "OperatorAction",
    "Pod",
    "PoolOverride",
    "PoolSample",
    "Rollout",
    "Room",
    "SeenDailyEvent",
    "SessionCounter",
    "SessionStatus",
    "StartKind",
    "StockStatus",
    "StoredTokens",
    "VersionCounter",
    "VoiceSession",
]
