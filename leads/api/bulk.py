"""`POST .../leads/bulk` pushes up to 1,000 leads in one request, and answers with a result for each."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.scope import READ_ONLY, MayChange, scope_of
from access.throttles import BulkPushThrottle
from common.api.request import checked, idempotency_key
from common.errors import BodyTooLarge, ShapeError, Unavailable, body_of_problem
from common.openapi import (
    BODY_PROBLEMS,
    EXAMPLE_LEAD,
    IDEMPOTENCY,
    TOO_MANY,
    UNAUTHENTICATED,
    UNAVAILABLE,
    ShapeProblemSerializer,
    problem,
)
from common.strict_json import MAX_VALUES, LargeJSONParser, count_values, too_many_values
from leads.api.leads import PushSerializer, pushed
from leads.models import Lead
from leads.push import KEY_REUSED, push_all

MAX_LEADS = 1000
LARGE = 1024 * 1024  # bytes; a worker handles one larger push at a time, because its memory is enough for one
RETRY_AFTER_S = 2
_room_for_a_large_one = threading.Lock()


class BulkParser(LargeJSONParser):
    most_values = 10 * MAX_VALUES

    @property
    def limit(self) -> int:  # type: ignore[override]
        return settings.MAX_BULK_BODY_BYTES


class BulkPushSerializer(serializers.Serializer[Any]):
    leads = serializers.ListField(child=serializers.JSONField(), min_length=1, max_length=MAX_LEADS)


class BulkPushDocs(serializers.Serializer[Any]):
    leads = serializers.ListField(child=PushSerializer(), min_length=1, max_length=MAX_LEADS)


class BulkResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Position in the request, from 0.")
    status = serializers.ChoiceField(choices=["queued", "error"])
    lead_call_tracker_id = serializers.UUIDField(required=False, help_text="The lead's id, if it was queued.")
    order_id = serializers.CharField(allow_null=True, help_text="The `request_id`.")
    message = serializers.CharField()
    code = serializers.IntegerField(
        required=False, help_text="If it was not queued: the HTTP status that a push of this lead alone would get."
    )
    errors = ShapeProblemSerializer(many=True, required=False)  # type: ignore[assignment]


class BulkResultsSerializer(serializers.Serializer[Any]):
    queued = serializers.IntegerField()
    failed = serializers.IntegerField()
    results = BulkResultSerializer(many=True)


class BulkPushView(APIView):
    permission_classes = [MayChange]
    parser_classes = [BulkParser]
    throttle_classes = [BulkPushThrottle]

    @extend_schema(
        summary="Push many leads",
        description=(
            f"Up to {MAX_LEADS} leads. Valid ones are made, the others are reported: check `failed`. With an "
            "`Idempotency-Key` the same request can be sent again without making a lead twice."
        ),
        tags=["leads"],
        request=BulkPushDocs,
        parameters=[IDEMPOTENCY],
        responses={
            200: BulkResultsSerializer,
            403: problem("A read-only token", READ_ONLY),
            409: problem("The Idempotency-Key was used for other leads", KEY_REUSED),
            **UNAUTHENTICATED,
            **BODY_PROBLEMS,
            **TOO_MANY,
            **UNAVAILABLE,
        },
        examples=[
            OpenApiExample(
                "Two orders",
                request_only=True,
                value={
                    "leads": [
                        {
                            "request_id": "order-1",
                            "template": "demo",
                            "reseller_id": "demo",
                            "merchant_id": "demo",
                            "payload": {"customer_mobile_number": "+919876501234"},
                        },
                        {"request_id": "order-2", "template": "demo", "reseller_id": "demo"},
                    ]
                },
            ),
            OpenApiExample(
                "One of them",
                response_only=True,
                status_codes=["200"],
                value={
                    "queued": 1,
                    "failed": 1,
                    "results": [
                        {
                            "index": 0,
                            "status": "queued",
                            "lead_call_tracker_id": EXAMPLE_LEAD,
                            "order_id": "order-1",
                            "message": "Call request added to queue for processing",
                        },
                        {
                            "index": 1,
                            "status": "error",
                            "order_id": "order-2",
                            "message": "payload: This field is required.",
                            "code": 422,
                            "errors": [
                                {"loc": ["body", "payload"], "msg": "This field is required.", "type": "missing"}
                            ],
                        },
                    ],
                },
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        with _memory(int(request.META.get("CONTENT_LENGTH") or 0)):
            return self._post(request)

    def _post(self, request: Request) -> Response:
        items = checked(BulkPushSerializer, request)["leads"]
        serializer = PushSerializer()  # one for all items: making a thousand takes longer than using them
        checked_items = [too_large(item) or _checked(serializer, item) for item in items]
        results = push_all(scope_of(request), checked_items, idempotency_key(request))
        answers = [
            _answer(index, item, result) for index, (item, result) in enumerate(zip(items, results, strict=True))
        ]
        queued = sum(answer["status"] == "queued" for answer in answers)
        return Response({"queued": queued, "failed": len(answers) - queued, "results": answers})


@contextmanager
def _memory(size: int) -> Iterator[None]:
    """Reserve the worker's memory for a large push. `size`: bytes of the body.

    Raises Unavailable (503) if another thread of this worker has a large push: waiting would occupy threads.
    """
    if size <= LARGE:
        yield
        return
    if not _room_for_a_large_one.acquire(blocking=False):
        raise Unavailable(f"Another push of more than {LARGE} bytes is under way; try again.", RETRY_AFTER_S)
    try:
        yield
    finally:
        _room_for_a_large_one.release()


def too_large(item: Any) -> APIException | None:
    """Return the error that an item would get, if it were pushed alone, for its size; None if it is small enough."""
    size = len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())
    if size > settings.MAX_REQUEST_BODY_BYTES:
        return BodyTooLarge()
    return too_many_values(MAX_VALUES) if size > 2 * MAX_VALUES and count_values(item) > MAX_VALUES else None


def _checked(serializer: PushSerializer, item: Any) -> dict[str, Any] | APIException:
    """Return the checked values of an item, or the error about its shape."""
    if not isinstance(item, dict):
        return ShapeError(["body"], "must be an object", "invalid")
    try:
        return serializer.run_validation(item)
    except ValidationError as problem:
        problem.status_code = 422
        return problem


def _answer(index: int, item: Any, result: Lead | APIException) -> dict[str, Any]:
    if isinstance(result, Lead):
        return {"index": index, **pushed(result)}
    body = body_of_problem(result)
    detail, errors = body["detail"], body.get("errors")
    if isinstance(detail, list):  # of a 422
        errors = detail
        detail = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}".removeprefix(": ") for one in errors)
    order_id = item.get("request_id") if isinstance(item, dict) else None
    return {
        "index": index,
        "status": "error",
        "order_id": order_id if isinstance(order_id, str) else None,
        "message": detail,
        "code": result.status_code,
        **({"errors": errors} if errors else {}),
    }
