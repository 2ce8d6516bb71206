"""Turns every exception into the published error body, so that all errors have one of two shapes.

    422  {"detail": [{"loc": ["body", "field"], "msg": "...", "type": "..."}]}   the request's shape is wrong
    else {"detail": "..."}

`exception_handler` serves the views of the API. The functions `handler400`, `handler404` and `handler500` (named in
breezebuddy/urls.py) serve what fails outside of views: unknown paths, middleware, a missing database. No response
contains a traceback.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, IntegrityError, InternalError, connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from common.database import DATABASE_AWAY

logger = logging.getLogger(__name__)

DATABASE_RETRY_AFTER = 2  # seconds

NOT_FOUND = "Not found: there is no such path. /docs lists those that there are."
NOT_AUTHENTICATED = "There is no token: send 'Authorization: Bearer <token>'."
NOT_JSON = "The body must be JSON: send 'Content-Type: application/json'."

Location = Sequence[str | int]


class ShapeError(exceptions.APIException):
    """422: a part of the request has the wrong shape. `loc` is the path to it, from "body" inwards."""

    status_code = 422

    def __init__(self, loc: Location, msg: str, kind: str) -> None:
        super().__init__(msg)
        self.loc, self.msg, self.kind = list(loc), msg, kind


class StateError(exceptions.APIException):
    """400: the request is well-formed, but what it names does not allow it in its present state."""

    status_code = 400


class PayloadError(StateError):
    """400: a payload violates its template's schema. `errors` lists the violations in the form of a 422."""

    def __init__(self, violations: "Sequence[PayloadViolation]") -> None:
        places = [".".join(map(str, one.loc)) for one in violations]
        texts = [f"{place}: {one.msg}" if place else one.msg for place, one in zip(places, violations, strict=True)]
        super().__init__("The payload is not what the template expects: " + "; ".join(texts))
        self.errors = [{"loc": ["body", "payload", *one.loc], "msg": one.msg, "type": one.kind} for one in violations]


class PayloadViolation(Protocol):
    @property
    def loc(self) -> list[str | int]: ...
    @property
    def msg(self) -> str: ...
    @property
    def kind(self) -> str: ...


class Conflict(exceptions.APIException):
    status_code = 409
    default_detail = "This conflicts with another change made at the same time; try again."


class LengthRequired(exceptions.APIException):
    status_code = 411
    default_detail = "Send the body with a Content-Length."


class BodyTooLarge(exceptions.APIException):
    status_code = 413

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(f"The body is larger than {limit or settings.MAX_REQUEST_BODY_BYTES} bytes.")


class Unavailable(exceptions.APIException):
    """503 with `Retry-After`: the request is right, but cannot be served now. `retry_after` is in seconds."""

    status_code = 503

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.wait = retry_after


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response:
    """Return the response for any exception of a view (REST framework's EXCEPTION_HANDLER)."""
    api_error = _as_api_exception(exc)
    if api_error.status_code == 500:
        request = context.get("request")
        _log_failure(exc, getattr(request, "method", "?"), getattr(request, "path", "?"))
    headers = {}
    if auth_header := getattr(api_error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(api_error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return Response(body_of_problem(api_error), status=api_error.status_code, headers=headers)


def body_of_problem(error: exceptions.APIException) -> dict[str, Any]:
    """Return the JSON body of an error."""
    errors = {"errors": error.errors} if isinstance(error, PayloadError) else {}
    return {"detail": _detail(error), **errors}


def _as_api_exception(exc: Exception) -> exceptions.APIException:
    match exc:
        case exceptions.ParseError():
            return ShapeError(["body"], str(exc.detail), "json_invalid")
        case exceptions.ValidationError():
            exc.status_code = 422
            return exc
        case exceptions.NotAuthenticated():
            exc.detail = exceptions.ErrorDetail(NOT_AUTHENTICATED, exc.default_code)
            return exc
        case exceptions.UnsupportedMediaType():
            exc.detail = exceptions.ErrorDetail(NOT_JSON, exc.default_code)
            return exc
        case exceptions.APIException():
            return exc
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return BodyTooLarge()
        case UnreadablePostError():
            return StateError("The body ended early.")
        case DataError():  # the parser refuses what PostgreSQL cannot store; this catches what it misses
            logger.warning("event=value_refused_by_database error=%s", _describe(exc))
            return ShapeError(["body"], "a value in the body cannot be stored", "value_error")
        case IntegrityError():
            logger.warning("event=conflict error=%s", _describe(exc))
            return Conflict()
        case _ if isinstance(exc, DATABASE_AWAY):
            return _database_unavailable(exc)
        case _:
            return exceptions.APIException("Internal server error")


def _database_unavailable(exc: BaseException) -> Unavailable:
    if isinstance(exc, InternalError) and connection.connection:
        connection.connection.close()  # in the pool it would stay a connection to the standby for an hour
    logger.warning("event=database_unavailable error=%s", _describe(exc))
    return Unavailable("The database is not available.", DATABASE_RETRY_AFTER)


def _detail(error: exceptions.APIException) -> Any:
    if isinstance(error, ShapeError):
        return [{"loc": error.loc, "msg": error.msg, "type": error.kind}]
    if isinstance(error, exceptions.ValidationError):
        return list(_shape_errors(error.detail, ("body",)))
    return str(error.detail)


def _shape_errors(detail: Any, loc: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """Flatten a serializer's errors, {"field": ["msg"]}, nested as deeply as the serializer is."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _shape_errors(inner, loc if name == "non_field_errors" else (*loc, name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _shape_errors(inner, loc)
    else:
        kind = getattr(detail, "code", "invalid")
        yield {"loc": list(loc), "msg": str(detail), "type": "missing" if kind == "required" else kind}


def _describe(exc: BaseException) -> str:
    """Return class and first line of an error. Later lines (DETAIL, CONTEXT) quote rows, with phone numbers in them."""
    return f"{type(exc).__name__}: {str(exc).partition(chr(10))[0][:200]}"


def _log_failure(exc: BaseException, method: str, path: str) -> None:
    where = "".join(traceback.format_tb(exc.__traceback__))
    logger.error("event=request_failed method=%s path=%s error=%s\n%s", method, path, _describe(exc), where)


def _plain(request: HttpRequest, status: int, detail: str, retry_after: int | None = None) -> HttpResponse:
    """Build an error response outside of the API's views: JSON, or plain text below /admin/."""
    response: HttpResponse
    if request.path.startswith("/admin/"):
        response = HttpResponse(detail, status=status, content_type="text/plain; charset=utf-8")
    else:
        response = JsonResponse({"detail": detail}, status=status)
    if retry_after:
        response["Retry-After"] = str(retry_after)
    return response


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        error = BodyTooLarge()
        return _plain(request, error.status_code, str(error.detail))
    return _plain(request, 400, "Bad request.")


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _plain(request, 404, "Not found." if request.path.startswith("/admin/") else NOT_FOUND)


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 if the database is away. Django does not pass the exception; it is the one being handled."""
    exc = sys.exc_info()[1]
    if isinstance(exc, DATABASE_AWAY):
        error = _database_unavailable(exc)
        return _plain(request, error.status_code, str(error.detail), DATABASE_RETRY_AFTER)
    return _plain(request, HttpResponseServerError.status_code, "Internal server error.")
