"""Parses JSON bodies, and refuses what PostgreSQL, the JSON standard or a bot could not take.

What gets through can be stored in a `jsonb` column and sent on as UTF-8: no NUL, no lone surrogate, no NaN or
Infinity (also not as 1e999), no nesting that overflows a stack, no name twice in one object.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request

from common.errors import BodyTooLarge, LengthRequired, ShapeError

MAX_DEPTH = 64
MAX_VALUES = 50_000  # in a body: small values take fifty times their bytes in memory, and a million a second of CPU
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


class StrictJSONParser(JSONParser):
    """The parser of ordinary endpoints. Raises ShapeError (422). DATA_UPLOAD_MAX_MEMORY_SIZE bounds the body."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return loads(stream.read())


class LargeJSONParser(BaseParser):
    """Base of the parsers of endpoints with larger bodies: at most `limit` bytes and `most_values` values.

    Not a JSONParser, because REST framework reads the body of those through Django's own limit.
    """

    media_type = "application/json"
    limit: int
    most_values: int

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(self.limit + 1)
        if len(body) > self.limit:
            raise BodyTooLarge(self.limit)
        return loads(body, self.most_values)


def body_of(request: Request) -> Any:
    """Return the parsed body, `{}` if there is none. Raises LengthRequired (411) and what the parser raises."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        raise LengthRequired  # WSGI shows a chunked body as empty
    return request.data


def loads(body: bytes, most_values: int = MAX_VALUES) -> Any:
    """Parse a body. Raises ShapeError (422) with the place of the first error."""
    if _separators(body) > most_values and _separators(_STRING.sub(b'""', body)) > most_values:
        raise too_many_values(most_values)
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise ShapeError(["body"], f"not UTF-8 (byte {error.start})", "json_invalid") from None
    except RecursionError:
        raise ShapeError(["body"], _TOO_DEEP, "json_too_deep") from None
    except json.JSONDecodeError as error:
        raise ShapeError(["body"], f"not JSON: {error}", "json_invalid") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise ShapeError(["body"], "a number has too many digits", "number_too_long") from None
    refuse_unstorable(value)
    return value


def too_many_values(most: int) -> ShapeError:
    return ShapeError(["body"], f"has more than {most} values", "too_many_values")


def count_values(value: Any) -> int:
    """Count the values inside a JSON value, including itself and containers, but not names."""
    count, todo = 0, [value]
    while todo:
        count += 1
        current = todo.pop()
        if isinstance(current, dict):
            todo.extend(current.values())
        elif isinstance(current, list):
            todo.extend(current)
    return count


def _separators(body: bytes) -> int:
    """Count the values of a body by its commas and brackets; takes a few ms for 16 MB.

    Each value but the first of a container comes after a comma. Commas and brackets in strings are counted too.
    """
    filled = body.count(b"[") + body.count(b"{") - body.count(b"[]") - body.count(b"{}")
    return 1 + body.count(b",") + filled


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. A name that is given twice is refused: one value would be lost, and readers differ in which."""
    value = dict(pairs)
    if len(value) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise ShapeError(["body"], f"the name {twice[:100]!a} is given twice in one object", "duplicate_name")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ShapeError(["body"], f"{name} is not a JSON number", "json_invalid")


def refuse_unstorable(value: Any) -> None:
    """Raise ShapeError for a value that cannot be stored or sent on. Does not recurse."""
    for path, leaf in _leaves(value):
        if isinstance(leaf, str):
            _refuse_bad_text(leaf, path)
        elif isinstance(leaf, float) and not math.isfinite(leaf):
            raise ShapeError(_loc(path), "must be a finite number", "number_not_finite")


_Path = tuple[Any, ...]  # (parent path, key): a linked list, shared by siblings


def _leaves(value: Any) -> Iterator[tuple[_Path, Any]]:
    """Yield every key, and every value that is not a container, each with its path."""
    todo: list[tuple[_Path, Any, int]] = [((), value, 1)]
    while todo:
        path, current, depth = todo.pop()
        if not isinstance(current, dict | list):
            yield path, current
            continue
        if depth > MAX_DEPTH:
            raise ShapeError(["body"], _TOO_DEEP, "json_too_deep")
        if isinstance(current, dict):
            for key in current:
                yield path, key
        items = current.items() if isinstance(current, dict) else enumerate(current)
        todo.extend(((path, key), inner, depth + 1) for key, inner in items)


def _refuse_bad_text(text: str, path: _Path) -> None:
    if "\x00" in text:
        raise ShapeError(_loc(path), "must not contain a NUL character", "nul_character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ShapeError(_loc(path), "contains half of a surrogate pair", "lone_surrogate") from None


def _loc(path: _Path) -> list[str | int]:
    keys: list[str | int] = []
    while path:
        path, key = path
        keys.append(key)
    return ["body", *reversed(keys)]
