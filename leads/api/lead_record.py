"""Serializes a lead for the API."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from common.api.fields import ObjectField, UnsetField
from leads.models import ExecutionMode, Lead, LeadStatus
from leads.webhooks.payload import recording_path, was_recorded
from pools.models import SessionStatus, StartKind, VoiceSession


class SessionSerializer(serializers.ModelSerializer[VoiceSession]):
    """How a session went, step by step, without its room's URL and tokens."""

    session_id = serializers.UUIDField(source="uuid")
    status = serializers.ChoiceField(choices=SessionStatus.choices)
    start_kind = serializers.ChoiceField(choices=StartKind.choices)
    room_name = serializers.CharField(source="room.name")
    claimed_at = serializers.DateTimeField(source="created_at")
    acknowledged_at = serializers.DateTimeField(source="active_at")
    error = serializers.CharField(help_text="The first error in the call, without secrets.")

    class Meta:
        model = VoiceSession
        fields = [
            "session_id",
            "status",
            "start_kind",
            "start_reason",
            "attempt",
            "room_name",
            "claimed_at",
            "assigned_at",
            "acknowledged_at",
            "bot_joined_at",
            "caller_joined_at",
            "first_audio_at",
            "ended_at",
            "end_reason",
            "error",
            "never_spoke",
            "never_heard",
        ]
        read_only_fields = fields


class LeadSerializer(serializers.ModelSerializer[Lead]):
    """The full record under its published names; fields that the service does not fill are null."""

    id = serializers.UUIDField(source="uuid")
    outbound_number_id = UnsetField()
    merchant_id = serializers.SerializerMethodField()
    template = serializers.CharField(source="template.name")
    template_id = serializers.UUIDField(source="template.uuid")
    payload = ObjectField()
    metaData = serializers.SerializerMethodField()
    recording_url = serializers.SerializerMethodField(help_text="If the call was recorded. Fetching it needs a token.")
    status = serializers.ChoiceField(choices=LeadStatus.choices)
    execution_mode = serializers.ChoiceField(choices=ExecutionMode.choices)
    outcome = serializers.SerializerMethodField()
    call_id = serializers.SerializerMethodField(help_text="Name of the room.")
    cost = UnsetField()
    is_locked = serializers.SerializerMethodField()
    langfuse_scores = UnsetField()
    call_direction = serializers.SerializerMethodField()
    session = SessionSerializer(source="voice_session", allow_null=True)

    class Meta:
        model = Lead
        fields = [
            "id",
            "outbound_number_id",
            "reseller_id",
            "merchant_id",
            "template",
            "template_id",
            "request_id",
            "attempt_count",
            "next_attempt_at",
            "payload",
            "metaData",
            "recording_url",
            "status",
            "outcome",
            "call_id",
            "call_initiated_time",
            "call_end_time",
            "cost",
            "is_locked",
            "langfuse_scores",
            "execution_mode",
            "call_direction",
            "created_at",
            "updated_at",
            "session",
        ]
        read_only_fields = fields

    def get_merchant_id(self, lead: Lead) -> str | None:
        return lead.merchant_id or None

    def get_metaData(self, lead: Lead) -> dict[str, Any]:
        return {"transcription": lead.transcription} if lead.transcription else {}

    def get_recording_url(self, lead: Lead) -> str | None:
        return settings.PUBLIC_URL + recording_path(lead) if was_recorded(lead) else None

    def get_outcome(self, lead: Lead) -> str | None:
        return lead.outcome or None

    def get_call_id(self, lead: Lead) -> str | None:
        return lead.call_id or None

    def get_is_locked(self, lead: Lead) -> bool:
        return lead.status == LeadStatus.PROCESSING

    def get_call_direction(self, lead: Lead) -> str:
        return "OUTBOUND"
