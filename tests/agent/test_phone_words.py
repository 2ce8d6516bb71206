"""What carriers' words about telephones that were not answered are taken to mean."""

import pytest

from devtools.sandbox.phones import ERRORS
from pools.phone import BUSY, FAILED, NO_ANSWER, NOT_ANSWERED, end_reason, words_in


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("486 Busy Here", BUSY),
        ("SIP:600", BUSY),
        ("the call was declined", BUSY),
        ("sip error 480", NO_ANSWER),
        ("User-Not-Answered: no_answer", NO_ANSWER),
        ("Timed out", NO_ANSWER),
        ("404 Not Found", FAILED),
        ("call 1486 was lost", FAILED),
        ("busybody", FAILED),
        ("", FAILED),
    ],
)
def test_an_error_is_understood_by_its_code_or_by_plain_words(words, reason):
    assert end_reason(failed=True, words=words) == reason


def test_ringing_that_just_stops_is_no_answer_unless_words_say_otherwise():
    assert end_reason(failed=False, words="") == NO_ANSWER
    assert end_reason(failed=False, words="486") == BUSY


def test_every_error_of_the_sandboxs_phones_is_told_apart():
    meant = {behaviour: end_reason(failed=words is not None, words=words or "") for behaviour, words in ERRORS.items()}
    assert meant == {
        "busy": BUSY,
        "no_answer": NO_ANSWER,
        "rings_out": NO_ANSWER,
        "fail": FAILED,
        "unreachable": FAILED,
    }
    assert set(meant.values()) == set(NOT_ANSWERED)


def test_dailys_words_are_found_under_any_of_their_names():
    assert words_in({"errorMsg": "486", "sessionId": "x"}) == "486"
    assert words_in({"error": {"msg": "busy"}}) == "{'msg': 'busy'}"
    assert words_in({"sessionId": "x"}) == words_in(None) == words_in("busy") == ""
