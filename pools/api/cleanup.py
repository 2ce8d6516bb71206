"""`POST /agent/voice/automatic/cleanup/{session_id}`: lets an operator end a session on any pod."""

import time
import uuid

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import OperatorsOnly, scope_of
from common.api.request import as_uuid
from common.openapi import EXAMPLE_SESSION, UNAUTHENTICATED, UNAVAILABLE, problem
from pools.models import SessionStatus, VoiceSession
from pools.sessions.ending import end_for_operator

STEP_S = 0.05


class CleanupSerializer(serializers.Serializer[object]):
    status = serializers.ChoiceField(choices=["success", "not_found"])
    message = serializers.CharField()
    process_type = serializers.ChoiceField(
        choices=["pool", "direct"], required=False, help_text="`pool`: its process was ready; `direct`: made on demand."
    )


class CleanupView(APIView):
    permission_classes = [OperatorsOnly]
    patience_s = 5.0

    @extend_schema(
        summary="End a session",
        description="Ends the call, deletes the room, finishes the lead. May be repeated. For admins.",
        tags=["pools"],
        request=None,
        parameters=[OpenApiParameter("session_id", uuid.UUID, OpenApiParameter.PATH)],
        responses={
            200: CleanupSerializer,
            403: problem("Not an admin", "Access denied: admins only"),
            404: OpenApiResponse(CleanupSerializer, "No such session"),
            **UNAUTHENTICATED,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Ended",
                status_codes=["200"],
                value={
                    "status": "success",
                    "message": f"Session {EXAMPLE_SESSION} cleaned up successfully",
                    "process_type": "pool",
                },
            ),
            OpenApiExample(
                "Unknown",
                status_codes=["404"],
                value={"status": "not_found", "message": f"Session {EXAMPLE_SESSION} not found"},
            ),
        ],
    )
    def post(self, request: Request, session_id: str) -> Response:
        session = end_for_operator(as_uuid(session_id), f"token {scope_of(request).name}")
        if session is None:
            return Response({"status": "not_found", "message": f"Session {session_id[:100]} not found"}, status=404)
        over = wait_for_end(session, self.patience_s)
        outcome = "cleaned up successfully" if over else "has been told to end"
        process = session.agent_process
        return Response(
            {
                "status": "success",
                "message": f"Session {session.uuid} {outcome}",
                "process_type": "direct" if process and process.on_demand else "pool",
            }
        )


def wait_for_end(session: VoiceSession, patience_s: float) -> bool:
    """Ask for the end of the session. The pod that has the call ends it, normally within milliseconds."""
    deadline = time.monotonic() + patience_s
    ended = VoiceSession.objects.filter(pk=session.pk, status=SessionStatus.ENDED)
    while not ended.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_S)
    return True
