"""Log lines: an object each for machines, readable for people, ids as fields, without secrets in either form."""

import json
import logging
import sys

import pytest

from pools.logs import log_format
from pools.logs.redaction import process_redactor

SESSION = "0b9f6f3e-3c53-4b0c-a3f5-0f4b6f8f4c22"
MOST = 4096


def record(message: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("pools.events", level, __file__, 1, message, arguments, None)


def as_json(message: str, *arguments: object) -> dict:
    return json.loads(log_format.formatter("json", {"pod": "pod-a"}).format(record(message, *arguments)))


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_about_a_session_without_a_lead_names_none(form):
    line = log_format.formatter(form).format(
        record("event=session_ended session=%s lead=%s reason=over", SESSION, None)
    )
    assert "lead" not in line and f"session={SESSION} reason=over" in line


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("DAILY_API_KEY", "daily-key-0123456789")
    process_redactor.cache_clear()
    yield "daily-key-0123456789"
    process_redactor.cache_clear()


def test_the_pairs_of_a_message_are_fields_beside_it():
    line = as_json(
        "event=session_active session=%s attempt=%d ms=%.1f problem=%r", SESSION, 2, 3.25, "no bot = no call"
    )
    assert line["event"] == "session_active" and line["session"] == SESSION
    assert (line["attempt"], line["ms"], line["problem"]) == (2, 3.2, "no bot = no call")
    assert line["pod"] == "pod-a" and line["level"] == "INFO" and line["logger"] == "pools.events"
    assert line["message"].startswith("event=session_active ") and line["time"].endswith("+00:00")


def test_a_message_without_pairs_is_a_message():
    assert as_json("Booting worker with pid: 17")["message"] == "Booting worker with pid: 17"


def test_punctuation_after_a_value_is_not_the_value():
    assert as_json("event=pod_was_reaped pod=pod-b: finishing")["pod"] == "pod-b"


def test_an_exception_is_part_of_its_line():
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError:
        entry = record("event=failed")
        entry.exc_info = sys.exc_info()
    text = log_format.formatter("json").format(entry)
    assert "\n" not in text
    assert "RuntimeError: two" in json.loads(text)["exception"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_and_phone_numbers_are_masked(secret, form):
    text = log_format.formatter(form).format(record("key=%s phone=%s", secret, "+919876543210"))
    assert secret not in text and "9876543210" not in text
    assert text.count("[redacted]") >= 2


def test_text_is_for_people():
    text = log_format.formatter("text").format(record("event=draining pod=%s", "pod-a"))
    assert text.endswith("INFO pools.events event=draining pod=pod-a")


# --- lines of agents -------------------------------------------------------------------------------------------

IDS = {"agent": "1a2b3c4d", "pid": 17, "session": SESSION, "lead": "l-1"}


def test_what_an_agent_prints_becomes_an_object_with_its_ids():
    line = json.loads(log_format.json_line(IDS, MOST)(b'said "hello"'))
    assert line.items() >= {**IDS, "message": 'said "hello"'}.items()


def test_a_line_that_is_json_already_gets_the_ids_and_keeps_its_fields():
    own = log_format.formatter("json").format(record("event=ended reason=%s", "bot_ended"))
    line = json.loads(log_format.json_line(IDS, MOST)(own.encode()))
    assert (line["event"], line["reason"], line["session"]) == ("ended", "bot_ended", SESSION)


@pytest.mark.parametrize("text", ["x" * 10_000, '"' * 10_000, "ü" * 10_000, '{"message": "' + "y" * 10_000 + '"}'])
def test_however_long_a_line_is_what_goes_out_is_bounded_and_whole(text):
    composed = log_format.json_line(IDS, MOST)(text.encode())
    assert len(composed) < MOST
    line = json.loads(composed)
    assert line["session"] == SESSION and line["message"].endswith("[cut]")


def test_what_is_no_utf8_is_no_reason_to_lose_a_line():
    assert json.loads(log_format.json_line(IDS, MOST)(b"\xff\xfe"))["session"] == SESSION
