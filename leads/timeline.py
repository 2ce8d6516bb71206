"""`GET /agent/voice/automatic/sessions/{session_id}/timeline`: why was this start slow?"""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from breezebuddy.openapi import UNAUTHENTICATED, UNAVAILABLE, problem
from leads.auth import scope_of
from leads.cleanup import SESSION, as_uuid
from pools.models import VoiceSession
from pools.story import Story


class StepSerializer(serializers.Serializer[Any]):
    step = serializers.CharField()
    at = serializers.DateTimeField()
    what = serializers.CharField(help_text="What was going on until then.")
    start_ms = serializers.FloatField(help_text="Where it begins, from the first moment of the session.")
    ms = serializers.FloatField(help_text="How long it took.")


class MissSerializer(serializers.Serializer[Any]):
    pool = serializers.ChoiceField(choices=["agents", "rooms"])
    cause = serializers.CharField()
    words = serializers.CharField(required=False, help_text="Admins only.")
    numbers = serializers.DictField(required=False, help_text="Admins only.")


class StartSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["warm", "partial", "cold"])
    reason = serializers.CharField(allow_blank=True)
    misses = MissSerializer(many=True, help_text="Why something was not in stock, with the numbers.")


class FailedHandoffSerializer(serializers.Serializer[Any]):
    attempt = serializers.IntegerField()
    failed_at = serializers.DateTimeField()
    agent = serializers.CharField(required=False, help_text="Admins only.")
    pod = serializers.CharField(required=False, help_text="Admins only.")
    assigned_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Admins only.")
    problem = serializers.CharField(required=False, help_text="Admins only.")


class TimelineSerializer(serializers.Serializer[Any]):
    session_id = serializers.UUIDField()
    lead_id = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(choices=["waiting", "assigned", "active", "ended"])
    end_reason = serializers.CharField(allow_blank=True)
    pod = serializers.CharField(allow_null=True, help_text="Admins only.")
    verdict = serializers.CharField(help_text="How it started and what took longest, in one sentence.")
    start = StartSerializer()
    failed_handoffs = FailedHandoffSerializer(many=True)
    steps = StepSerializer(many=True)


class TimelineView(APIView):
    @extend_schema(
        summary="The timeline of a session",
        description="What happened when, from the request to the end, and for a start that was not warm the cause.",
        tags=["pools"],
        parameters=[OpenApiParameter("session_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            200: TimelineSerializer,
            404: problem("Unknown, or its lead is outside of the token's scope", f"Session not found: {SESSION}"),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
    )
    def get(self, request: Request, session_id: str) -> Response:
        not_found = NotFound(f"Session not found: {session_id[:100]}")
        try:
            story = Story.read(as_uuid(session_id))
        except VoiceSession.DoesNotExist:
            raise not_found from None
        scope = scope_of(request)
        lead = story.session.reference
        if not (scope.is_operator or (lead and scope.leads().filter(uuid=lead).exists())):
            raise not_found
        return Response(story.as_json(for_operator=scope.is_operator))
