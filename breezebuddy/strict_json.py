"""Reading a JSON body: refused where PostgreSQL, JSON's own standard or a bot could not take it.

What gets through can be stored in a `jsonb` column and sent on as UTF-8: no NUL, no lone surrogate, no NaN or
Infinity (also not as 1e999), no nesting that overflows a stack.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from breezebuddy.errors import LengthRequired, ShapeError

MAX_DEPTH = 64
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


class StrictJSONParser(JSONParser):
    """Raises ShapeError (422). Django itself bounds the body (DATA_UPLOAD_MAX_MEMORY_SIZE -> 413)."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return loads(stream.read())


def body_of(request: Request) -> Any:
    """The parsed body; an absent one is `{}`. Raises what the parser raises, and LengthRequired (411)."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        raise LengthRequired  # WSGI would show it as empty
    return request.data


def loads(body: bytes) -> Any:
    """Parse a body. Raises ShapeError with the place of the first thing that is wrong."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ShapeError(["body"], f"not UTF-8 (byte {error.start})", "json_invalid") from None
    except RecursionError:
        raise ShapeError(["body"], _TOO_DEEP, "json_too_deep") from None
    except json.JSONDecodeError as error:
        raise ShapeError(["body"], f"not JSON: {error}", "json_invalid") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise ShapeError(["body"], "a number has too many digits", "number_too_long") from None
    _refuse_unstorable(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ShapeError(["body"], f"{name} is not a JSON number", "json_invalid")


def _refuse_unstorable(value: Any) -> None:
    """Walks without recursion; `loc` is built only for what is refused."""
    for path, leaf in _leaves(value):
        if isinstance(leaf, str):
            _refuse_bad_text(leaf, path)
        elif isinstance(leaf, float) and not math.isfinite(leaf):
            raise ShapeError(_loc(path), "must be a finite number", "number_not_finite")


_Path = tuple[Any, ...]  # (parent path, key): a linked list, shared by siblings


def _leaves(value: Any) -> Iterator[tuple[_Path, Any]]:
    """Every key and every value that is no container, each with its path."""
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
