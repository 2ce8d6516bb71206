"""Restricts payload schemas to the part of JSON Schema for which the work of a check can be bounded beforehand.

Schemas and payloads both come from tenants. Without a bound, references that lead back to themselves or multiply, and
long lists under many subschemas, would occupy a worker for minutes. docs/api.md lists what is allowed.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema_rs

from common.strict_json import count_values

MAX_STEPS = 10_000  # of a schema: its values, counted once for each reference that leads to them
MAX_DEPTH = 100  # of nested subschemas, references followed
SMALL_PATTERN, LARGE_PATTERN = 20_000, 1_000_000  # bytes when compiled; the cost per character grows with them
STEPS_OF_A_LARGE_PATTERN = 2000  # for compiling it

DEFINITIONS = ("$defs", "definitions")
SAME_PLACE = ("not", "if", "then", "else")
SAME_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
SAME_PLACE_MAPS = ("dependentSchemas", "dependencies")
EACH_ITEM = ("additionalItems", "contains", "unevaluatedItems")
EACH_PROPERTY = ("additionalProperties", "unevaluatedProperties")
UNEVALUATED = ("unevaluatedItems", "unevaluatedProperties")  # nested, they take exponential time
NOT_SUPPORTED = frozenset(
    ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef", "$vocabulary")
)
ONLY_AT_THE_TOP = frozenset(("$id", "id", "$schema", *DEFINITIONS, *UNEVALUATED))
REFERENCES = "a $ref must be '#/$defs/NAME' (or '#/definitions/NAME') and must not lead back to itself"


class BadSchema(Exception):
    """The schema cannot be used. The text is shown to its author."""


def check(schema: dict[str, Any]) -> int:
    """Return the steps of a schema. Raises BadSchema if it is not in the subset."""
    if count_values(schema) > MAX_STEPS:
        raise BadSchema(f"too large: more than {MAX_STEPS} values")
    walk = _Walk(schema)
    steps, _ = walk.measure(schema, 1)
    for prefix in DEFINITIONS:
        for name in as_dict(schema.get(prefix)):
            walk.definition(f"#/{prefix}/{name}", 1)
    return steps


def definition(root: dict[str, Any], reference: Any) -> Any:
    """Return the schema that a reference names. Raises BadSchema."""
    parts = reference.split("/") if isinstance(reference, str) else []
    if len(parts) != 3 or parts[0] != "#" or parts[1] not in DEFINITIONS or set(parts[2]) & set("~%"):
        raise BadSchema(f"{REFERENCES}; this one is not: {str(reference)[:100]!a}")
    definitions = as_dict(root.get(parts[1]))
    if parts[2] not in definitions:
        raise BadSchema(f"a $ref names a definition that does not exist: {reference[:100]!a}")
    return definitions[parts[2]]


def subschemas(node: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas directly inside a schema, not those that it refers to."""
    for keyword, inner in node.items():
        if keyword in (*SAME_PLACE, *EACH_ITEM, *EACH_PROPERTY, "propertyNames"):
            yield inner
        elif keyword in (*SAME_PLACE_LISTS, "prefixItems"):
            yield from as_list(inner)
        elif keyword in ("properties", "patternProperties", *SAME_PLACE_MAPS):
            yield from (one for one in as_dict(inner).values() if isinstance(one, dict | bool))
        elif keyword == "items":
            yield from inner if isinstance(inner, list) else [inner]


@lru_cache(maxsize=1000)
def is_large(pattern: str) -> bool:
    """Return whether a pattern is costly per character. Raises BadSchema if it is invalid or far too large."""
    if _compiles(pattern, SMALL_PATTERN):
        return False
    if _compiles(pattern, LARGE_PATTERN):
        return True
    raise BadSchema(
        f"the pattern {pattern[:100]!a} cannot be used: it is no regular expression of linear time (no look-around, no "
        "back-references), or too large (give long texts a maxLength instead of a repetition such as {1,5000})"
    )


class _Walk:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._measured: dict[str, tuple[int, int] | None] = {}  # None: still being measured

    def measure(self, node: Any, level: int) -> tuple[int, int]:
        """Return steps and depth of a schema, references followed."""
        if level > MAX_DEPTH:
            raise BadSchema(f"nested more than {MAX_DEPTH} schemas deep, references followed")
        if not isinstance(node, dict):
            return 1, 1
        self._refuse_keywords(node)
        inside = [self.measure(inner, level + 1) for inner in subschemas(node)]
        if "$ref" in node:
            inside.append(self.definition(node["$ref"], level + 1))
        steps = own_steps(node) + sum(steps for steps, _ in inside)
        depth = 1 + max((depth for _, depth in inside), default=0)
        if steps > MAX_STEPS:
            raise BadSchema(f"too large: more than {MAX_STEPS} steps, references followed")
        if depth > MAX_DEPTH:
            raise BadSchema(f"nested more than {MAX_DEPTH} schemas deep, references followed")
        return steps, depth

    def definition(self, reference: Any, level: int) -> tuple[int, int]:
        node = definition(self._root, reference)
        if reference not in self._measured:
            self._measured[reference] = None
            self._measured[reference] = self.measure(node, level)
        measured = self._measured[reference]
        if measured is None:
            raise BadSchema(REFERENCES)
        return measured

    def _refuse_keywords(self, node: dict[str, Any]) -> None:
        refused = NOT_SUPPORTED & node.keys()
        if node is not self._root:
            refused |= ONLY_AT_THE_TOP & node.keys()
        for keyword in sorted(refused):
            where = "only allowed at the top" if keyword in ONLY_AT_THE_TOP else "not supported"
            raise BadSchema(f"{keyword} is {where} of a payload schema; {REFERENCES}")


def own_steps(node: dict[str, Any]) -> int:
    """Count the steps of a schema itself (keywords, names, values), without the schemas inside it."""
    steps = 1
    for keyword, value in node.items():
        if keyword in ("properties", "patternProperties", *SAME_PLACE_MAPS):
            steps += 1 + len(as_dict(value))
        elif keyword in ("enum", "const", "required", "type", "dependentRequired"):
            steps += count_values(value)
        else:
            steps += 1
    return steps + STEPS_OF_A_LARGE_PATTERN * sum(is_large(pattern) for pattern in patterns(node))


def patterns(node: dict[str, Any]) -> list[str]:
    own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    return own + [one for one in as_dict(node.get("patternProperties")) if isinstance(one, str)]


def _compiles(pattern: str, limit: int) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=limit))
    except ValueError:
        return False
    return True


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
