"""Which phone numbers can be dialled, and why a phone was not answered. Pure; used by agents and by webhooks.

Daily reports that a dial-out has stopped or failed with a text that it does not document. Such texts usually contain a
SIP code (RFC 3261); otherwise plain English words are recognised. An error with an unknown text counts as a failure.
"""

import re
from typing import Any, TypeGuard

E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # not \d: there are other digits than ASCII's

BUSY = "phone_busy"
NO_ANSWER = "phone_no_answer"
FAILED = "phone_failed"
NOT_ANSWERED = (BUSY, NO_ANSWER, FAILED)  # end reasons of a session

_CODE = re.compile(r"(?<!\d)([456]\d\d)(?!\d)")
_BUSY_CODES = {"486", "600", "603"}
_NO_ANSWER_CODES = {"408", "480", "487"}
_BUSY_WORDS = re.compile(r"\bbusy\b|\bdeclined?\b|\brejected\b", re.IGNORECASE)
_NO_ANSWER_WORDS = re.compile(r"no[ _-]?answer|not answered|unanswered|timed? ?out", re.IGNORECASE)


def is_phone_number(value: object) -> TypeGuard[str]:
    """Whether the value is a phone number in E.164 format, the only format that can be dialled."""
    return isinstance(value, str) and E164.fullmatch(value) is not None


def words_in(data: Any) -> str:
    """The text in an event of a dial-out, at most 200 characters. Daily documents no name for it."""
    if not isinstance(data, dict):
        return ""
    return " ".join(str(data[key]) for key in ("errorMsg", "error_msg", "error", "reason") if data.get(key))[:200]


def end_reason(*, failed: bool, words: str) -> str:
    """The end reason of a session whose phone was not answered: `BUSY`, `NO_ANSWER` or `FAILED`.

    `failed`: Daily reported an error; otherwise the ringing just stopped. `words`: the text of the event.
    """
    codes = set(_CODE.findall(words))
    if codes & _BUSY_CODES or _BUSY_WORDS.search(words):
        return BUSY
    if codes & _NO_ANSWER_CODES or _NO_ANSWER_WORDS.search(words):
        return NO_ANSWER
    return FAILED if failed else NO_ANSWER
