"""Removes secrets and phone numbers from text before it is logged or reported."""

import functools
import os
import re
from collections.abc import Iterable

MASK = "[redacted]"

# A JSON Web Token, or the beginning of one that was cut off: a base64 of `{"...` and up to two more parts.
_JWT = r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,2}"
# A phone number as it is dialled (E.164).
_PHONE = r"(?<![\w+])\+[1-9][0-9]{7,14}(?![0-9])"
_SECRET_NAME = re.compile(r".*(KEY|TOKEN|SECRET|PASSWORD)(_ID)?")
_SHORTEST_SECRET = 8  # masking a shorter value would mask ordinary words


class Redactor:
    """Masks given secrets, everything that looks like a JSON Web Token, and phone numbers."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._pattern = re.compile("|".join((*map(re.escape, known), _JWT, _PHONE)).encode("utf-8", "surrogatepass"))
        self._further: list[bytes] = []

    def add(self, secret: str) -> None:
        """Mask one more secret from now on. Cheap: no pattern is compiled."""
        if len(secret) >= _SHORTEST_SECRET:
            self._further.append(secret.encode("utf-8", "surrogatepass"))

    def line(self, line: bytes) -> bytes:
        for secret in self._further:
            line = line.replace(secret, MASK.encode())
        return self._pattern.sub(MASK.encode(), line)

    def text(self, text: str) -> str:
        return self.line(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


@functools.cache
def process_redactor() -> Redactor:
    """The redactor of this process; it masks the values of environment variables that are named like secrets."""
    return Redactor(value for name, value in os.environ.items() if _SECRET_NAME.fullmatch(name.upper()))
