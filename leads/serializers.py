"""The bodies of the leads API: what comes in (checked here for its shape only) and what goes out."""

from typing import Any

from rest_framework import serializers

from leads.fields import ObjectField, TextField, UnsetField, UUIDField, WebAddressField
from leads.models import ExecutionMode, Lead, LeadStatus
from pools.models import SessionStatus, StartKind, VoiceSession

MODES = ", ".join(ExecutionMode.values)


class PushSerializer(serializers.Serializer[Any]):
    """A lead to be made. Unknown fields are ignored."""

    request_id = TextField(max_length=200, help_text="The caller's tag, such as an order id; not unique.")
    template = TextField(max_length=200, required=False, allow_null=True, help_text="Name of the template.")
    template_id = UUIDField(required=False, allow_null=True, help_text="Its UUID, instead of the name or with it.")
    reseller_id = TextField(max_length=100)
    merchant_id = TextField(
        max_length=100, required=False, allow_null=True, help_text="Required with the name of a merchant's template."
    )
    payload = ObjectField(help_text="Given to the bot. `customer_mobile_number` (E.164) is what telephony dials.")
    reporting_webhook_url = WebAddressField(
        max_length=2000, required=False, allow_null=True, help_text="Kept inside `payload`."
    )
    execution_mode = serializers.ChoiceField(
        choices=ExecutionMode.choices,
        default=ExecutionMode.TELEPHONY,
        error_messages={"invalid_choice": f"must be one of {MODES}", "null": "must not be null"},
    )
    is_playground = serializers.BooleanField(default=False)
    configurations_override = ObjectField(
        required=False, allow_null=True, help_text="Replaces values of the template; ignored unless `is_playground`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("template") and not attrs.get("template_id"):
            raise serializers.ValidationError("Either 'template' or 'template_id' must be provided", code="missing")
        return attrs


class PushedSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["queued"])
    lead_call_tracker_id = serializers.UUIDField(help_text="The lead's id.")
    order_id = serializers.CharField(help_text="The `request_id`.")
    message = serializers.CharField()


class ConnectSerializer(serializers.Serializer[Any]):
    lead_id = UUIDField()


class ConnectedSerializer(serializers.Serializer[Any]):
    room_url = serializers.URLField()
    token = serializers.CharField(help_text="Meeting token of the caller; a secret.")
    session_id = serializers.UUIDField()
    lead_id = serializers.UUIDField()


class SessionSerializer(serializers.ModelSerializer[VoiceSession]):
    """How a session went, step by step; without its room's address and tokens."""

    session_id = serializers.UUIDField(source="uuid")
    status = serializers.ChoiceField(choices=SessionStatus.choices)
    start_kind = serializers.ChoiceField(choices=StartKind.choices)
    room_name = serializers.CharField(source="room.name")
    claimed_at = serializers.DateTimeField(source="created_at")
    acknowledged_at = serializers.DateTimeField(source="active_at")

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
        ]
        read_only_fields = fields


class LeadSerializer(serializers.ModelSerializer[Lead]):
    """The full record under its published names; what nothing sets yet is null."""

    id = serializers.UUIDField(source="uuid")
    outbound_number_id = UnsetField()
    merchant_id = serializers.SerializerMethodField()
    template = serializers.CharField(source="template.name")
    template_id = serializers.UUIDField(source="template.uuid")
    payload = ObjectField()
    metaData = serializers.SerializerMethodField()
    recording_url = UnsetField()
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

    def get_outcome(self, lead: Lead) -> str | None:
        return lead.outcome or None

    def get_call_id(self, lead: Lead) -> str | None:
        return lead.call_id or None

    def get_is_locked(self, lead: Lead) -> bool:
        return lead.status == LeadStatus.PROCESSING

    def get_call_direction(self, lead: Lead) -> str:
        return "OUTBOUND"
