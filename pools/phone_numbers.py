"""Telephone numbers that can be dialled. Pure."""

import re
from typing import TypeGuard

E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # not \d: there are other digits than ASCII's


def is_number(value: object) -> TypeGuard[str]:
    """Whether it can be dialled: E.164, as published."""
    return isinstance(value, str) and E164.fullmatch(value) is not None
