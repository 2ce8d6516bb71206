"""`GET /agent/voice/automatic/sessions/{session_id}/timeline`: explains how a session started and what took long."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import scope_of
from common.api.request import as_uuid
from common.openapi import EXAMPLE_SESSION, UNAUTHENTICATED, UNAVAILABLE, problem
from pools.models import StartKind, VoiceSession
from pools.sessions import owner
from pools.sessions.history import SessionHistory


class StepSerializer(serializers.Serializer[Any]):
    step = serializers.CharField()
    at = serializers.DateTimeField()
    what = serializers.CharField(help_text="What happened in this step.")
    start_ms = serializers.FloatField(help_text="When the step begins, from the first moment of the session.")
    ms = serializers.FloatField(help_text="How long the step took.")


class MissSerializer(serializers.Serializer[Any]):
    pool = serializers.ChoiceField(choices=["agents", "rooms"])
    cause = serializers.CharField()
    words = serializers.CharField(required=False, help_text="Admins only.")
    numbers = serializers.DictField(required=False, help_text="Admins only.")


class StartSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=StartKind.choices)
    reason = serializers.CharField(allow_blank=True)
    misses = MissSerializer(many=True, help_text="Why no room or no process was ready, with the numbers.")


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
    error = serializers.CharField(allow_blank=True, help_text="The first error in the call, without secrets.")
    never_spoke = serializers.BooleanField(help_text="The caller was there and heard nothing of the bot.")
    never_heard = serializers.BooleanField(help_text="The caller was there and the bot heard nothing of them.")
    pod = serializers.CharField(allow_null=True, help_text="Admins only.")
    verdict = serializers.CharField(help_text="How the session started and what took longest, in one sentence.")
    start = StartSerializer()
    failed_handoffs = FailedHandoffSerializer(many=True)
    steps = StepSerializer(many=True)


EXAMPLE = {
    "session_id": EXAMPLE_SESSION,
    "lead_id": "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11",
    "status": "active",
    "end_reason": "",
    "error": "",
    "never_spoke": False,
    "never_heard": False,
    "pod": "pool-7",
    "verdict": "partial start, acknowledged after 41.0 ms; longest: the session waited for a process (25.0 ms)",
    "start": {
        "kind": "partial",
        "reason": "no agent process in stock",
        "misses": [
            {
                "pool": "agents",
                "cause": "burst",
                "words": "process pool empty: 7 starts in the 2 s before, 3 warming of a target of 3",
                "numbers": {"starts_before": 7, "window_s": 2.0, "target": 3, "warming": 3},
            }
        ],
    },
    "failed_handoffs": [],
    "steps": [
        {"step": "request", "at": "2026-11-24T10:00:00Z", "what": "", "start_ms": 0.0, "ms": 0.0},
        {
            "step": "claim",
            "at": "2026-11-24T10:00:00.009Z",
            "what": "the request was checked and a pair claimed",
            "start_ms": 0.0,
            "ms": 9.0,
        },
    ],
}


class TimelineView(APIView):
    @extend_schema(
        summary="The timeline of a session",
        description="What happened when, from the request to the end, and for a start that was not warm the cause.",
        tags=["pools"],
        parameters=[OpenApiParameter("session_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            200: TimelineSerializer,
            404: problem(
                "Unknown, or its lead is outside of the token's scope", f"Session not found: {EXAMPLE_SESSION}"
            ),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
        examples=[OpenApiExample("A cold start, as an admin sees it", status_codes=["200"], value=EXAMPLE)],
    )
    def get(self, request: Request, session_id: str) -> Response:
        not_found = NotFound(f"Session not found: {session_id[:100]}")
        try:
            history = SessionHistory.read(as_uuid(session_id))
        except VoiceSession.DoesNotExist:
            raise not_found from None
        scope = scope_of(request)
        if not (scope.is_operator or owner.may_see(scope, history.session)):
            raise not_found
        return Response(history.as_json(for_operator=scope.is_operator))
