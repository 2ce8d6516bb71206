"""Admin page of voice sessions: how each started, how long its steps took, how it ended."""

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin_pages import json_block, link, search_link, short
from common.display import NONE, ago, between
from pools.dashboard.changelists import START_COLOURS, STATUS_COLOURS, AgentMiss, EndReason, RoomMiss, SteeredAdmin
from pools.dashboard.starts import in_words
from pools.dashboard.timeline_bar import timeline_of
from pools.models import IN_STOCK, SessionStatus, VoiceSession


@admin.register(VoiceSession)
class VoiceSessionAdmin(SteeredAdmin):
    list_display = [
        "short_id",
        "status_",
        "in_status_since",
        "start",
        "why",
        "lead_link",
        "pod_link",
        "to_acknowledged",
        "to_bot",
        "lasted",
        "end_reason",
    ]
    list_filter = ["status", "start_kind", AgentMiss, RoomMiss, EndReason, "never_spoke", "never_heard", "created_at"]
    list_select_related = ["room", "agent_process__pod"]
    search_ids = ["uuid", "reference", "agent_process__uuid"]
    search_names = ["room__name"]
    search_help_text = "Search by ID (session, lead, agent process) or room name (prefix)"
    fields = [
        "timeline",
        "uuid",
        "status_",
        "in_status_since",
        "start",
        "why",
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
        "caller_left_at",
        "first_audio_at",
        "to_first_audio",
        "ended_at",
        "lasted",
        "end_reason",
        "error_",
        "never_spoke",
        "never_heard",
        "outcome",
        "given_to_the_bot",
        "transcript_",
        "detail_",
    ]

    @admin.display(description="id")
    def short_id(self, session: VoiceSession) -> str:
        return short(session.uuid)

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_(self, session: VoiceSession) -> str:
        return session.status

    @display(description="start", ordering="start_kind", label=START_COLOURS)
    def start(self, session: VoiceSession) -> str:
        return session.start_kind

    @admin.display(description="why not warm")
    def why(self, session: VoiceSession) -> str:
        if session.start_kind in IN_STOCK:
            return NONE
        return in_words(session.agent_miss, session.room_miss) if session.circumstances else session.start_reason

    @admin.display(description="timeline")
    def timeline(self, session: VoiceSession) -> SafeString:
        return timeline_of(session)

    @admin.display(description="since")
    def in_status_since(self, session: VoiceSession) -> str:
        match session.status:
            case SessionStatus.ENDED:
                return ago(session.ended_at, "ended ")
            case SessionStatus.ACTIVE:
                return ago(session.active_at)
            case SessionStatus.ASSIGNED:
                return ago(session.assigned_at)
        return ago(session.created_at)

    @admin.display(description="lead")
    def lead_link(self, session: VoiceSession) -> SafeString | str:
        """A search for the lead by its id: a lead that went back to BACKLOG no longer links to the session."""
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

    @admin.display(description="request to acknowledged")
    def to_acknowledged(self, session: VoiceSession) -> str:
        return between(session.requested_at, session.active_at)

    @admin.display(description="request to bot joined")
    def to_bot(self, session: VoiceSession) -> str:
        return between(session.requested_at, session.bot_joined_at)

    @admin.display(description="to first audio")
    def to_first_audio(self, session: VoiceSession) -> str:
        return between(session.created_at, session.first_audio_at)

    @admin.display(description="lasted")
    def lasted(self, session: VoiceSession) -> str:
        return between(session.created_at, session.ended_at or timezone.now())

    @admin.display(description="error")
    def error_(self, session: VoiceSession) -> str:
        return session.error or NONE

    @admin.display(description="given to the bot")
    def given_to_the_bot(self, session: VoiceSession) -> SafeString:
        return json_block(session.body)

    @admin.display(description="transcript")
    def transcript_(self, session: VoiceSession) -> SafeString:
        return json_block(session.transcript)

    @admin.display(description="what else the bot reported")
    def detail_(self, session: VoiceSession) -> SafeString:
        return json_block(session.detail)
