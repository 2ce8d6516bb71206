"""Formats log lines as text or as JSON, without secrets, phone numbers and control characters. No Django in here.

Messages are written as `event=name key=value ...`. In JSON each pair is also a field of its own beside the message, so
that a log can be searched by `event`, `session`, `lead`, `agent` or `pod`.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pools.logs.redaction import process_redactor

TEXT, JSON = "text", "json"
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
PAIR = re.compile(r"""(?:^|(?<=\s))([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']\S*)""")
ABSENT = re.compile(r" lead=None(?=\s|$)")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class TextFormatter(logging.Formatter):
    """Lines for people."""

    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return printable(process_redactor().text(without_absent(super().format(record))))


class JsonFormatter(logging.Formatter):
    """One JSON object a line. `constant`: fields of every line of this process, such as its pod."""

    def __init__(self, constant: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._constant = dict(constant or {})

    def format(self, record: logging.LogRecord) -> str:
        redact = process_redactor().text
        record.message = record.getMessage()  # as every formatter leaves it for the next handler
        message = redact(without_absent(record.message))
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            **self._constant,
            **fields_of(message),
            "message": message,
        }
        if record.exc_info:
            entry["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def printable(text: str) -> str:
    """The text without colours, and with control characters other than tab and newline escaped.

    A terminal obeys control characters: text of others could clear it or forge lines.
    """
    if text.isprintable():
        return text
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", COLOURS.sub("", text))


def without_absent(message: str) -> str:
    """The message without ` lead=None`, which lines of sessions without a lead contain."""
    return ABSENT.sub("", message)


def fields_of(message: str) -> dict[str, Any]:
    """The key=value pairs of a message: `ms=1.5 problem='no bot'` -> {"ms": 1.5, "problem": "no bot"}."""
    return {name: _value(text) for name, text in PAIR.findall(message)}


def _value(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    text = text.rstrip(":,;")
    if NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def formatter(form: str, constant: Mapping[str, str] | None = None) -> logging.Formatter:
    """The formatter for `text` or `json`; `constant` as for `JsonFormatter`."""
    return JsonFormatter(constant) if form == JSON else TextFormatter()


@functools.cache
def form_of_environment() -> str:
    """The log format for processes without Django settings; `runpools` passes it to its agents as LOG_FORMAT."""
    return JSON if os.environ.get("LOG_FORMAT") == JSON else TEXT


# --- lines of other programs ---------------------------------------------------------------------------------------

CUT = " [cut]"


def text_line(ids: Mapping[str, Any], most: int) -> Callable[[bytes], bytes]:
    """A function that puts the ids before a line and cuts it to `most` bytes, newline included."""
    prefix = " ".join(f"{name}={value}" for name, value in ids.items()).encode() + b" "
    room = most - len(prefix) - 1

    def compose(line: bytes) -> bytes:
        line = printable(line.decode("utf-8", "replace")).encode()
        return prefix + (line if len(line) <= room else line[: room - len(CUT)] + CUT.encode())

    return compose


def json_line(ids: Mapping[str, Any], most: int) -> Callable[[bytes], bytes]:
    """A function that turns a line into a JSON object with the ids, of at most `most` bytes.

    A line that is a JSON object with a message already keeps its fields and gets the ids as well.
    """

    def compose(line: bytes) -> bytes:
        text = line.decode("utf-8", "replace")
        entry = _entry_of(text)
        said = entry["message"]
        while len(composed := json.dumps({**entry, **ids}, ensure_ascii=False).encode()) >= most and said:
            said = said[: len(said) - (len(composed) - most) - len(CUT) - 1]
            entry = {**{name: entry[name] for name in SHORT if name in entry}, "message": said + CUT}
        return composed

    return compose


SHORT = ("time", "level", "logger")  # what is kept of a line that is too long, beside its message


def _entry_of(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("message"), str):
            return entry
    return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "message": text}
