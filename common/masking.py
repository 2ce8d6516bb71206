"""Masks phone numbers and secrets in JSON that people read; the rest stays as it is.

"+919876501234"                    -> "+91******1234"
"https://example.com/hook?key=abc" -> "https://example.com/hook?******"
"""

import re
from typing import Any

PHONE_KEY = re.compile(r"phone|mobile|msisdn|whatsapp|(contact|caller|customer|telephony|outbound)_?number", re.I)
SECRET_KEY = re.compile(r"token|secret|password|authorization|api_?key", re.I)
MIN_DIGITS = 9  # a phone number without its country code has at least 9; a customer's order number rarely has
MAX_DIGITS = 15  # the longest E.164 number

# Dates and UUIDs come first, so that their digits are not read as a number's.
_WORDS = re.compile(
    r"(?P<other>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<phone>(?<![0-9A-Za-z.])\+?\(?\d(?:[ ().\-]{0,2}\d){8,14}(?![0-9A-Za-z]))",
    re.I,
)
# From the :// on: a pattern that began with the scheme would look for one at each letter, in quadratic time.
_ADDRESS = re.compile(r"(?<=[a-z0-9+.\-])://(?:(?P<login>[^\s/?#@]*)@)?[^\s?#\"'<>]*(?P<query>[?#][^\s\"'<>]*)?", re.I)


def masked(value: Any) -> Any:
    """Return a copy of a JSON value with everything masked that looks like a phone number or is named like a secret."""
    if isinstance(value, dict):
        return {mask_text(str(key)): _masked_member(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and MIN_DIGITS <= len(str(abs(value))) <= MAX_DIGITS:
        return mask_phone(str(value))
    return value


def mask_text(text: str) -> str:
    """Mask the phone numbers of a text, and of each URL in it the login and the query, which often hold a secret."""
    text = _ADDRESS.sub(_masked_address, text)
    return _WORDS.sub(lambda found: found["other"] or mask_phone(found["phone"]), text)


def mask_phone(number: str) -> str:
    """Mask a phone number except for its first two and last four digits; of a short one only the last two are kept."""
    digits = re.sub(r"\D", "", number)
    plus = "+" if number.lstrip().startswith("+") else ""
    if len(digits) < MIN_DIGITS:
        return f"{plus}******{digits[-2:]}"
    return f"{plus}{digits[:2]}******{digits[-4:]}"


def _masked_address(found: re.Match[str]) -> str:
    address, start = found[0], found.start()
    if found["query"]:
        address = address[: found.start("query") + 1 - start] + "******"
    if found["login"]:
        address = address[: found.start("login") - start] + "******" + address[found.end("login") - start :]
    return address


def _masked_member(key: str, value: Any) -> Any:
    if SECRET_KEY.search(key) and value:
        return "******"
    if PHONE_KEY.search(key) and isinstance(value, str | int) and not isinstance(value, bool):
        return mask_phone(str(value)) if re.search(r"\d", str(value)) else value
    return masked(value)
