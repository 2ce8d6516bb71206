"""Splits lists into pages, newest first: `limit` rows, and a `next_cursor` for the page after them."""

import uuid
from typing import Any, TypeVar, cast

from django.db.models import BigIntegerField, F, Func, JSONField, Model, Q, QuerySet, Sum, TextField, Window
from django.db.models.functions import Cast, Coalesce, RowNumber
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from common.api.fields import UUIDField
from common.errors import ShapeError

Row = TypeVar("Row", bound=Model)  # with a public id: `uuid`

MAX_PAGE_BYTES = 2 * 1024 * 1024  # of JSON in the rows: a page of the largest leads would have 50 MB
PARAMETERS = [
    OpenApiParameter("limit", int, description="Rows on a page: 1 to 100; 50 if not given. Fewer, if they are large."),
    OpenApiParameter("cursor", uuid.UUID, description="The `next_cursor` of the page before."),
]


class PageQuery(serializers.Serializer[Any]):
    """Base class for the query parameters of a list."""

    limit = serializers.IntegerField(min_value=1, max_value=100, default=50)
    cursor = UUIDField(required=False)


def query_of(serializer_class: type[PageQuery], request: Request) -> dict[str, Any]:
    """Return the checked query parameters. Raises ShapeError (422) with the place `query`.

    Unknown names are refused too: a misspelt filter would otherwise show everything.
    """
    serializer = serializer_class(data=request.query_params.dict())
    if unknown := next((name for name in request.query_params if name not in serializer.fields), None):
        raise ShapeError(["query", unknown[:100]], f"is none of {', '.join(serializer.fields)}", "unknown")
    if not serializer.is_valid():
        name, messages = next(iter(serializer.errors.items()))
        raise ShapeError(["query", name], str(messages[0]), getattr(messages[0], "code", "invalid"))
    return serializer.validated_data


def page_of(rows: QuerySet[Row], query: dict[str, Any], **filters: Any) -> tuple[list[Row], str | None]:
    """Return the rows of one page, and the cursor of the next page (None on the last one).

    `rows`: all that the caller may see, of which `filters` select. The cursor is the public id of the last row of the
    page. That row need not pass the filters any more when the cursor comes back, because leads change meanwhile.
    """
    later = rows.filter(**filters)
    if cursor := query.get("cursor"):
        last = rows.model._default_manager.filter(pk__in=rows.values("pk"), uuid=cursor).values_list("pk").first()
        if last is None:
            raise ShapeError(["query", "cursor"], "is of no row that you may see", "invalid")
        later = later.filter(pk__lt=last[0])
    found = list(_bounded(later.order_by("-pk"), query["limit"] + 1))
    page = found[: query["limit"]]
    while len(page) > 1 and cast(Any, page[-1]).bytes_so_far > MAX_PAGE_BYTES:
        page.pop()
    return page, str(cast(Any, page[-1]).uuid) if len(found) > len(page) else None


def _bounded(rows: QuerySet[Row], limit: int) -> QuerySet[Row]:
    """Return the first rows, up to the first that does not fit on a page; at least two, to know if there are more."""
    sizes = [
        Coalesce(Func(Cast(field.name, TextField()), function="octet_length", output_field=BigIntegerField()), 0)
        for field in rows.model._meta.get_fields()
        if isinstance(field, JSONField)
    ]
    first = rows.order_by().filter(pk__in=rows.values("pk")[:limit])
    size = sum(sizes[1:], sizes[0])
    newest_first = F("pk").desc()
    return cast(
        QuerySet[Row],
        first.annotate(
            size=size,
            bytes_so_far=Window(Sum(size), order_by=newest_first),
            place=Window(RowNumber(), order_by=newest_first),
        )
        .filter(Q(place__lte=2) | Q(bytes_so_far__lte=MAX_PAGE_BYTES + F("size")))
        .order_by("-pk"),
    )
