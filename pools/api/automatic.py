"""`POST /agent/voice/automatic`: starts a session without a lead and returns its room and token."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from common.api.fields import TextField
from common.api.request import checked, idempotency_key
from common.arrival import arrival_of
from common.openapi import BODY_PROBLEMS, EXAMPLE_SESSION, IDEMPOTENCY, UNAUTHENTICATED, problem
from common.strict_json import StrictJSONParser
from pools.api.start_problems import answered
from pools.sessions.automatic import start_automatic


def optional_text() -> TextField:
    return TextField(max_length=10_000, required=False, allow_null=True, allow_blank=True)


class TtsServiceSerializer(serializers.Serializer[Any]):
    ttsProvider = serializers.ChoiceField(choices=["ELEVENLABS", "GOOGLE", "SARVAM", "FISH"])
    voiceName = serializers.ChoiceField(choices=["RHEA", "MIA", "BRET"])


class AutomaticSerializer(serializers.Serializer[Any]):
    """All optional. The bot gets the body as it came, with fields that are not named here, but without those by which
    we tell bots of a lead (`lead_id`, `reseller_id`, `merchant_id`, `template`, `payload` ...): they are ignored.
    `resellerId` and `merchantId`, which are checked, reach the bot as `reseller_id` and `merchant_id` too.
    """

    sessionId = TextField(
        max_length=200, required=False, allow_null=True, help_text="The client's own id; the session gets another."
    )
    mode = TextField(max_length=10, required=False, allow_null=True, help_text="TEST or LIVE.")
    eulerToken = optional_text()
    breezeToken = optional_text()
    shopUrl = optional_text()
    shopId = optional_text()
    shopType = optional_text()
    userName = optional_text()
    email = optional_text()
    ttsService = TtsServiceSerializer(required=False, allow_null=True)
    merchantId = TextField(max_length=100, required=False, allow_null=True, help_text="Must be the token's.")
    resellerId = TextField(max_length=100, required=False, allow_null=True, help_text="Must be the token's.")
    platformIntegrations = serializers.ListField(child=TextField(max_length=200), required=False, allow_null=True)
    customerId = optional_text()
    shopifyConnectedShop = optional_text()
    metaAdAccountIds = serializers.ListField(child=TextField(max_length=200), required=False, allow_null=True)

    def validate_mode(self, mode: str | None) -> str | None:
        if mode is not None and mode.upper() not in ("TEST", "LIVE"):
            raise serializers.ValidationError("must be TEST or LIVE", code="invalid_choice")
        return mode


class StartedSerializer(serializers.Serializer[Any]):
    room_url = serializers.URLField()
    token = serializers.CharField(help_text="Meeting token of the caller; a secret.")
    session_id = serializers.UUIDField()


class AutomaticView(APIView):
    permission_classes = [MayChange]
    parser_classes = [StrictJSONParser]

    @extend_schema(
        summary="Start a session without a lead",
        description="Claims a warm room and a warm agent process, whose bot gets the body of this request "
        "as `runner_args.body`, as it is.",
        tags=["automatic"],
        request=AutomaticSerializer,
        parameters=[IDEMPOTENCY],
        responses={
            200: StartedSerializer,
            403: problem("A read-only token, or a reseller or merchant that is not its own", READ_ONLY),
            409: problem(
                "The Idempotency-Key was used for another session", "this Idempotency-Key was used for another session"
            ),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            503: problem("No capacity, no Daily or no database", "no live pod takes sessions"),
        },
        examples=[
            OpenApiExample(
                "A shop's assistant",
                request_only=True,
                value={"sessionId": "tab-7", "mode": "LIVE", "shopId": "shop-1", "userName": "Asha"},
            ),
            OpenApiExample(
                "Started",
                response_only=True,
                status_codes=["200"],
                value={
                    "room_url": "https://example.daily.co/bb-01k9zq3v7t",
                    "token": "eyJhbGciOi...",
                    "session_id": EXAMPLE_SESSION,
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        values = checked(AutomaticSerializer, request)
        body = dict(request.data)
        if mode := values.get("mode"):
            body["mode"] = mode.upper()
        with answered():
            started = start_automatic(
                scope_of(request),
                body,
                idempotency_key=idempotency_key(request),
                arrived=arrival_of(request.META),
            )
        return Response({"room_url": started.room_url, "token": started.token, "session_id": str(started.session_id)})
