"""What the pools are doing and since when. Nothing here can be changed: the rows are `runpools`' own."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Count, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Extract, Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from breezebuddy.admin_columns import (
    NONE,
    ReadOnlyAdmin,
    between,
    duration,
    json_block,
    link,
    search_link,
    short,
    since,
)
from pools.models import (
    HANDOFF_LEASE,
    AgentProcess,
    DailyAccount,
    DailyBudgetSlot,
    Pod,
    Room,
    SessionStatus,
    StockStatus,
    VoiceSession,
)


def _count_of(model: type[AgentProcess] | type[Room], status: StockStatus) -> Coalesce:
    """Rows of a pod in a status: one subquery each, because joins would multiply the rows."""
    rows = model.objects.filter(pod=OuterRef("pk"), status=status).order_by().values("pod").annotate(n=Count("pk"))
    return Coalesce(Subquery(rows.values("n")), 0)


@admin.register(Pod)
class PodAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "heartbeat_age", "up_for", "agents", "rooms_", "free_slots", "version", "trouble"]
    list_filter = ["draining", ("ended_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "host", "uuid"]
    fields = [
        "name",
        "uuid",
        "state",
        "heartbeat_age",
        "started_at",
        "ended_at",
        "end_reason",
        "host",
        "os_pid",
        "version",
        "start_method",
        "agents",
        "agent_cap",
        "rooms_",
        "room_cap",
        "max_processes",
        "free_slots",
        "agent_trouble",
        "see_also",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pod]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                age=Extract(Now() - F("heartbeat_at"), "epoch"),
                live=ExpressionWrapper(Q(heartbeat_at__gt=Now() - HANDOFF_LEASE), output_field=BooleanField()),
                agents_available=_count_of(AgentProcess, StockStatus.AVAILABLE),
                agents_warming=_count_of(AgentProcess, StockStatus.WARMING),
                agents_in_use=_count_of(AgentProcess, StockStatus.IN_USE),
                rooms_available=_count_of(Room, StockStatus.AVAILABLE),
                rooms_warming=_count_of(Room, StockStatus.WARMING),
                rooms_in_use=_count_of(Room, StockStatus.IN_USE),
            )
        )

    @admin.display(description="state")
    def state(self, pod: Any) -> str:
        if pod.ended_at:
            return f"ended ({pod.end_reason})"
        if not pod.live:
            return "silent"
        return "draining" if pod.draining else "live"

    @admin.display(description="last heartbeat", ordering="-heartbeat_at")
    def heartbeat_age(self, pod: Any) -> str:
        return f"{duration(float(pod.age))} ago"

    @admin.display(description="up for", ordering="-started_at")
    def up_for(self, pod: Pod) -> str:
        return between(pod.started_at, pod.ended_at or timezone.now())

    @admin.display(description="agent processes")
    def agents(self, pod: Any) -> str:
        return _stock(pod.agents_available, pod.agent_target, pod.agents_warming, pod.agents_in_use)

    @admin.display(description="rooms")
    def rooms_(self, pod: Any) -> str:
        return _stock(pod.rooms_available, pod.room_target, pod.rooms_warming, pod.rooms_in_use)

    @admin.display(description="trouble")
    def trouble(self, pod: Pod) -> str:
        return pod.agent_trouble[:120] or NONE

    @admin.display(description="see also")
    def see_also(self, pod: Pod) -> SafeString:
        agents = search_link("pools_agentprocess", pod.name, "agent processes")
        return agents + SafeString(", ") + search_link("pools_room", pod.name, "rooms")


def _stock(available: int, target: int, warming: int, in_use: int) -> str:
    return f"{available} of {target} available, {warming} warming, {in_use} in use"


class StockAdmin(ReadOnlyAdmin):
    """What rooms and agent processes have in common: a status since a moment, a pod, at most one session."""

    @admin.display(description="for")
    def in_status_for(self, item: Any) -> str:
        return since(item.ended_at or item.in_use_at or item.available_at or item.created_at)

    @admin.display(description="pod", ordering="pod__name")
    def pod_link(self, item: Any) -> SafeString | str:
        return link(item.pod)

    @admin.display(description="session")
    def session_link(self, item: Any) -> SafeString | str:
        session = getattr(item, "voice_session", None)  # none: RelatedObjectDoesNotExist is an AttributeError
        return link(session, f"{short(session.uuid)} {session.status}") if session else NONE


@admin.register(Room)
class RoomAdmin(StockAdmin):
    """Without the meeting tokens."""

    list_display = [
        "name",
        "status",
        "in_status_for",
        "pod_link",
        "session_link",
        "reserved",
        "life_left",
        "end_reason",
    ]
    list_filter = ["status", "reserved", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["pod", "voice_session"]
    search_fields = ["name", "uuid", "pod__name"]
    fields = [
        "name",
        "uuid",
        "url",
        "status",
        "in_status_for",
        "pod_link",
        "session_link",
        "reserved",
        "created_at",
        "available_at",
        "in_use_at",
        "expires_at",
        "tokens_expire_at",
        "ended_at",
        "end_reason",
        "deleted_at",
    ]

    @admin.display(description="life left", ordering="expires_at")
    def life_left(self, room: Room) -> str:
        left = room.expires_at - timezone.now()
        return duration(left.total_seconds()) if left > timedelta() else "expired"


@admin.register(AgentProcess)
class AgentProcessAdmin(StockAdmin):
    list_display = [
        "short_id",
        "status",
        "in_status_for",
        "pod_link",
        "os_pid",
        "session_link",
        "on_demand",
        "start_method",
        "warmup",
        "end_reason",
    ]
    list_filter = ["status", "on_demand", "start_method"]
    list_select_related = ["pod", "voice_session"]
    search_fields = ["uuid", "pod__name"]
    fields = [
        "uuid",
        "status",
        "in_status_for",
        "pod_link",
        "os_pid",
        "session_link",
        "on_demand",
        "start_method",
        "version",
        "warmup",
        "created_at",
        "available_at",
        "in_use_at",
        "ended_at",
        "end_reason",
    ]

    @admin.display(description="id")
    def short_id(self, process: AgentProcess) -> str:
        return short(process.uuid)

    @admin.display(description="warm-up", ordering="warmup_ms")
    def warmup(self, process: AgentProcess) -> str:
        return NONE if process.warmup_ms is None else duration(process.warmup_ms / 1000)


@admin.register(VoiceSession)
class VoiceSessionAdmin(ReadOnlyAdmin):
    list_display = [
        "short_id",
        "status",
        "in_status_for",
        "start_kind",
        "start_reason",
        "lead_link",
        "pod_link",
        "process_link",
        "room_link",
        "to_acknowledged",
        "to_bot",
        "lasted",
        "end_reason",
    ]
    list_filter = ["status", "start_kind", "end_reason", "created_at"]
    list_select_related = ["room", "agent_process__pod"]
    search_fields = ["uuid", "reference", "room__name", "agent_process__uuid"]
    fields = [
        "uuid",
        "status",
        "in_status_for",
        "start_kind",
        "start_reason",
        "attempt",
        "lead_link",
        "pod_link",
        "process_link",
        "room_link",
        "created_at",
        "assigned_at",
        "active_at",
        "to_acknowledged",
        "bot_joined_at",
        "to_bot",
        "caller_joined_at",
        "first_audio_at",
        "to_first_audio",
        "ended_at",
        "lasted",
        "end_reason",
        "outcome",
        "given_to_the_bot",
        "transcript_",
        "detail_",
    ]

    @admin.display(description="id")
    def short_id(self, session: VoiceSession) -> str:
        return short(session.uuid)

    @admin.display(description="for")
    def in_status_for(self, session: VoiceSession) -> str:
        match session.status:
            case SessionStatus.ENDED:
                return since(session.ended_at)
            case SessionStatus.ACTIVE:
                return since(session.active_at)
            case SessionStatus.ASSIGNED:
                return since(session.assigned_at)
        return since(session.created_at)

    @admin.display(description="lead")
    def lead_link(self, session: VoiceSession) -> SafeString | str:
        """By its id: a lead that went back to its backlog has no link to the session any more."""
        if session.reference is None:
            return NONE
        return search_link("leads_lead", session.reference, short(session.reference))

    @admin.display(description="pod")
    def pod_link(self, session: VoiceSession) -> SafeString | str:
        return link(session.agent_process.pod if session.agent_process else None)

    @admin.display(description="agent process")
    def process_link(self, session: VoiceSession) -> SafeString | str:
        return link(session.agent_process, short(session.agent_process)) if session.agent_process else NONE

    @admin.display(description="room")
    def room_link(self, session: VoiceSession) -> SafeString | str:
        return link(session.room)

    @admin.display(description="to acknowledged")
    def to_acknowledged(self, session: VoiceSession) -> str:
        return between(session.created_at, session.active_at)

    @admin.display(description="to bot joined")
    def to_bot(self, session: VoiceSession) -> str:
        return between(session.created_at, session.bot_joined_at)

    @admin.display(description="to first audio")
    def to_first_audio(self, session: VoiceSession) -> str:
        return between(session.created_at, session.first_audio_at)

    @admin.display(description="lasted")
    def lasted(self, session: VoiceSession) -> str:
        return between(session.created_at, session.ended_at or timezone.now())

    @admin.display(description="given to the bot")
    def given_to_the_bot(self, session: VoiceSession) -> SafeString:
        return json_block(session.body)

    @admin.display(description="transcript")
    def transcript_(self, session: VoiceSession) -> SafeString:
        return json_block(session.transcript)

    @admin.display(description="what else the bot reported")
    def detail_(self, session: VoiceSession) -> SafeString:
        return json_block(session.detail)


@admin.register(DailyAccount)
class DailyAccountAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "self_signed_tokens",
        "verified",
        "trouble",
        "key_fingerprint",
    ]
    fields = [
        "domain_name",
        "domain_id",
        "key_fingerprint",
        "self_signed_tokens",
        "verified_at",
        "trouble",
    ]

    @admin.display(description="verified", ordering="verified_at")
    def verified(self, account: DailyAccount) -> str:
        return NONE if account.verified_at is None else f"{since(account.verified_at)} ago"


@admin.register(DailyBudgetSlot)
class DailyBudgetSlotAdmin(ReadOnlyAdmin):
    list_display = ["group", "slot", "used"]
    list_filter = ["group"]
    fields = ["group", "slot", "used"]
