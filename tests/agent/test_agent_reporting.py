"""What a bot may say through `report()`: anything, and it is always fit to be sent and stored."""

import math

from pools.agent import report
from pools.agent.reporting import MAX_REPORT_BYTES, Report
from pools.protocol import Ended, FrameReader, encode_frame


def told(**values: object) -> Report:
    made = Report()
    made.add(values.pop("outcome", None), values.pop("transcript", None), values)  # type: ignore[arg-type]
    return made


def test_a_report_outside_a_session_is_harmless() -> None:
    report(outcome="nobody asks", mood="good")


def test_the_last_outcome_counts_and_details_are_merged() -> None:
    made = told(outcome="first", a=1, b=1)
    made.add("second", None, {"b": 2})
    assert (made.outcome, made.detail) == ("second", {"a": 1, "b": 2})


def test_a_transcript_replaces_the_earlier_one_and_is_a_copy() -> None:
    entries = [{"role": "user", "content": "hi"}]
    made = told(transcript=entries)
    entries.append({"role": "assistant", "content": "hello"})
    assert len(made.transcript) == 1
    made.add(None, entries, {})
    assert len(made.transcript) == 2


def test_an_outcome_is_cut_to_what_a_lead_can_hold() -> None:
    assert told(outcome="x" * 80).outcome == "x" * 50


def test_what_is_not_json_becomes_text() -> None:
    detail = told(score=math.nan, when=object, tags={"a"}, nested={1: (2, None, True)}, text="a\0b\ud800").detail
    assert detail == {
        "score": "nan",
        "when": "<class 'object'>",
        "tags": ["a"],
        "nested": {"1": [2, None, True]},
        "text": "ab?",
    }


def test_what_refers_to_itself_ends_somewhere() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "self" in told(loop=loop).detail["loop"]


def test_the_longest_report_still_fits_into_a_frame() -> None:
    entries = [{"role": "user", "content": "é" * 10_000, "number": number} for number in range(200)]
    made = told(transcript=entries, blob="x" * (MAX_REPORT_BYTES + 1))
    assert made.transcript[-1]["number"] == 199
    assert 0 < len(made.transcript) < 200
    assert set(made.detail) == {"detail_dropped_bytes"}
    ended = Ended("s", "bot_ended", made.outcome, made.transcript, made.detail)
    assert FrameReader().feed(encode_frame(ended)) == [ended]
