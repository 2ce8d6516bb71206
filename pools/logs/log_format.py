"""One line of a log: for people (text) or machines (JSON), without secrets and phone numbers. No Django in here.

Messages are written as `event=name key=value ...`; as JSON the pairs are fields of their own beside the message, so
that a log can be searched by `event`, `session`, `lead`, `agent` or `pod` without anybody having to pass them twice.
"""

import functools
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pools.logs.printable import printable
from pools.logs.redaction import process_redactor

TEXT, JSON = "text", "json"
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
PAIR = re.compile(r"""(?:^|(?<=\s))([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']\S*)""")
ABSENT = re.compile(r" lead=None(?=\s|$)")
NUMBER = re.compile(r"-?\d+(\.\d+)?")


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return printable(process_redactor().text(without_absent(super().format(record))))


class JsonFormatter(logging.Formatter):
    """`constant`: what every line of this process says, its pod for example."""

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


def without_absent(message: str) -> str:
    """A session need not have a lead: then its lines name none."""
    return ABSENT.sub("", message)


def fields_of(message: str) -> dict[str, Any]:
    """The pairs in a message: `ms=1.5 problem='no bot'` -> {"ms": 1.5, "problem": "no bot"}."""
    return {name: _value(text) for name, text in PAIR.findall(message)}


def _value(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    text = text.rstrip(":,;")
    if NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def formatter(form: str, constant: Mapping[str, str] | None = None) -> logging.Formatter:
    return JsonFormatter(constant) if form == JSON else TextFormatter()


@functools.cache
def form_of_environment() -> str:
    """For processes without settings: agents get it from their `runpools`."""
    return JSON if os.environ.get("LOG_FORMAT") == JSON else TEXT


# --- lines that others have written ------------------------------------------------------------------------------

CUT = " [cut]"


def text_line(ids: Mapping[str, Any], most: int) -> Callable[[bytes], bytes]:
    """Puts the ids before a line; at most `most` bytes with its newline."""
    prefix = " ".join(f"{name}={value}" for name, value in ids.items()).encode() + b" "
    room = most - len(prefix) - 1

    def compose(line: bytes) -> bytes:
        line = printable(line.decode("utf-8", "replace")).encode()
        return prefix + (line if len(line) <= room else line[: room - len(CUT)] + CUT.encode())

    return compose


def json_line(ids: Mapping[str, Any], most: int) -> Callable[[bytes], bytes]:
    """Makes a line an object with the ids; one that is a line of JSON already gets them, and keeps what it says."""

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
