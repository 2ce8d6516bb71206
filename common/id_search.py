"""Search by the beginning of an id or of a name, by index: a million rows are not read for a lookup."""

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q, QuerySet

MOST = 200
HEX = re.compile(r"[0-9a-f]{4,32}")


def id_range(term: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The ids that begin so, from four digits on; None: no id begins so."""
    digits = term.strip().lower().replace("-", "")
    if not HEX.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def found(rows: QuerySet[Any], term: str, ids: Iterable[str], names: Iterable[str]) -> QuerySet[Any]:
    """Those of `rows` of which one of the ids, or of the names, begins with the term; each field by a look of its own,
    because one condition over several tables uses no index."""
    conditions = [Q(**{f"{name}__startswith": term}) for name in names]
    if between := id_range(term):
        conditions += [Q(**{f"{field}__range": between}) for field in ids]
    model: type[Model] = rows.model
    keys: set[int] = set()
    for condition in conditions:
        keys |= set(model._default_manager.filter(condition).order_by().values_list("pk", flat=True)[:MOST])
    return rows.filter(pk__in=keys)
