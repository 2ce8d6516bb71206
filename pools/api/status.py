"""The status endpoints of the pools. Public unless STATUS_REQUIRE_TOKEN; operators also get details of the pods."""

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import AuthenticationFailed, NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.openapi import UNAUTHENTICATED, UNAVAILABLE, problem
from pools.api.serializers import PoolStatusSerializer
from pools.status.state import PoolState, Stock, UnknownPod, details, read_state, report


def described(summary: str) -> Callable[[Any], Any]:
    return extend_schema(
        summary=summary,
        description=(
            "Counts of all live pods together, read from the database. `?pod=` for one pod. "
            "With an admin's token the answer has more: each pod, and what waits."
        ),
        tags=["pools"],
        parameters=[OpenApiParameter("pod", str, description="Name of a pod.")],
        responses={
            200: PoolStatusSerializer,
            401: UNAUTHENTICATED[401],
            404: problem("No such pod", "Pod not found: pod-7"),
            **UNAVAILABLE,
        },
    )


def asked_by_operator(request: Request) -> bool:
    try:
        return getattr(request.user, "is_operator", False)
    except AuthenticationFailed:
        return False


class PoolView(APIView):
    def get_permissions(self) -> Sequence[Any]:
        return super().get_permissions() if settings.STATUS_REQUIRE_TOKEN else [AllowAny()]

    def perform_authentication(self, request: Request) -> None:
        """If no token is required, a wrong one is treated like none."""
        if settings.STATUS_REQUIRE_TOKEN:
            super().perform_authentication(request)

    def answer(self, request: Request, pool: Callable[[PoolState], Stock]) -> Response:
        name = request.query_params.get("pod")
        try:
            state = read_state(name)
        except UnknownPod:
            raise NotFound(f"Pod not found: {str(name)[:100]}") from None
        return Response(report(state, pool(state)) | (details(state) if asked_by_operator(request) else {}))


class PoolStatusView(PoolView):
    @described("Status of the pool of agent processes")
    def get(self, request: Request) -> Response:
        return self.answer(request, lambda state: state.agents)


class RoomPoolStatusView(PoolView):
    @described("Status of the pool of rooms")
    def get(self, request: Request) -> Response:
        return self.answer(request, lambda state: state.rooms)
