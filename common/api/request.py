"""Reads and checks the parts of a request: body, id in the path, Idempotency-Key."""

import re
import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer

from common.errors import ShapeError
from common.strict_json import body_of

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def checked(serializer_class: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the values of the body. Raises ShapeError or ValidationError (422) if the serializer refuses them."""
    body = body_of(request)
    if not isinstance(body, dict):
        raise ShapeError(["body"], "must be an object", "invalid")
    serializer = serializer_class(data=body)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def as_uuid(text: str) -> uuid.UUID:
    """Parse an id from a path. Text that is no UUID gives the zero UUID, which no row has."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.UUID(int=0)


def idempotency_key(request: Request) -> str | None:
    """Return the header `Idempotency-Key`, None without one. Raises ShapeError (422)."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        loc = ["header", "Idempotency-Key"]
        raise ShapeError(loc, "must be 1 to 255 visible ASCII characters", "invalid")
    return key
