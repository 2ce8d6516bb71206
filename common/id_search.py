"""Searches rows by the prefix of an id or a name. Uses the indexes, so that a search does not scan a large table."""

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q, QuerySet

MOST = 200  # rows found for each field
HEX = re.compile(r"[0-9a-f]{4,32}")


def id_range(term: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and last UUID with this prefix; None if it is no prefix of at least four hexadecimal digits."""
    digits = term.strip().lower().replace("-", "")
    if not HEX.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def found(rows: QuerySet[Any], term: str, ids: Iterable[str], names: Iterable[str]) -> QuerySet[Any]:
    """Return those of `rows` that have an id or a name beginning with `term`.

    Each field has a query of its own: one condition over several tables would use no index.
    """
    conditions = [Q(**{f"{name}__startswith": term}) for name in names]
    if between := id_range(term):
        conditions += [Q(**{f"{field}__range": between}) for field in ids]
    model: type[Model] = rows.model
    keys: set[int] = set()
    for condition in conditions:
        keys |= set(model._default_manager.filter(condition).order_by().values_list("pk", flat=True)[:MOST])
    return rows.filter(pk__in=keys)
