"""What a carrier's words about a telephone that was not answered mean. Pure: agents and webhooks both ask it.

Daily tells that a dial-out has stopped or failed, with a text that it does not document. The codes are SIP's (RFC
3261), which such texts usually hold; of the rest only plain words are understood. An error that nobody understands is a
failure.
"""

import re
from typing import Any

BUSY = "phone_busy"
NO_ANSWER = "phone_no_answer"
FAILED = "phone_failed"
NOT_ANSWERED = (BUSY, NO_ANSWER, FAILED)  # end reasons of a session

_CODE = re.compile(r"(?<!\d)([456]\d\d)(?!\d)")
_BUSY_CODES = {"486", "600", "603"}
_NO_ANSWER_CODES = {"408", "480", "487"}
_BUSY_WORDS = re.compile(r"\bbusy\b|\bdeclined?\b|\brejected\b", re.IGNORECASE)
_NO_ANSWER_WORDS = re.compile(r"no[ _-]?answer|not answered|unanswered|timed? ?out", re.IGNORECASE)


def words_in(data: Any) -> str:
    """What an event of a dial-out says; Daily documents no name for it."""
    if not isinstance(data, dict):
        return ""
    return " ".join(str(data[key]) for key in ("errorMsg", "error_msg", "error", "reason") if data.get(key))[:200]


def end_reason(*, failed: bool, words: str) -> str:
    """`failed`: Daily told of an error; otherwise the ringing just stopped."""
    codes = set(_CODE.findall(words))
    if codes & _BUSY_CODES or _BUSY_WORDS.search(words):
        return BUSY
    if codes & _NO_ANSWER_CODES or _NO_ANSWER_WORDS.search(words):
        return NO_ANSWER
    return FAILED if failed else NO_ANSWER
