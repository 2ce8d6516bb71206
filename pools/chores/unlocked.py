"""Chores wait for nobody: a row that somebody else has locked is left for the next time."""

from typing import Any

from django.db.models import QuerySet


def keys_of_unlocked(rows: QuerySet[Any]) -> list[Any]:
    """Primary keys of the rows that nobody has locked; they are ours until the end of the transaction. `rows` without
    joins, whose rows would be locked with them."""
    return list(rows.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
