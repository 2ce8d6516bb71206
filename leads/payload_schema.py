"""JSON Schema of payloads: what a template expects, and every way in which a payload is not that.

jsonschema-rs instead of jsonschema, because schemas come from tenants: its patterns take linear time (one `(a+)+$`
would hold a worker for ever), it asks nothing of the network for `$ref`, and it is a hundred times as fast.
"""

from dataclasses import dataclass
from typing import Any

import jsonschema_rs

MAX_STEPS = 10_000  # of one validation, references followed: a few lines can be written that would take years
MAX_VIOLATIONS = 100  # that are listed
PATTERN_SIZE = 1_000_000  # bytes of a compiled pattern


class BadSchema(Exception):
    """The text is for who wrote the schema."""


@dataclass(frozen=True)
class Violation:
    loc: list[str | int]
    msg: str
    kind: str


class PayloadSchema:
    """A compiled schema. Raises BadSchema if it is none."""

    def __init__(self, schema: dict[str, Any]) -> None:
        _check_steps(schema)
        try:
            self._validator = jsonschema_rs.validator_for(
                schema,
                offline=True,
                mask="the value",
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_SIZE),
            )
        except (ValueError, TypeError) as error:
            where = "/".join(str(step) for step in getattr(error, "instance_path", []))
            text = str(error).partition("\n")[0]
            raise BadSchema(f"{where}: {text}" if where else text) from None

    def violations(self, payload: dict[str, Any]) -> list[Violation]:
        """All of them, up to a hundred; their texts do not repeat the payload's values."""
        found = []
        for error in self._validator.iter_errors(payload):
            found.append(Violation(list(error.instance_path), error.message, str(error.schema_path[-1])))
            if len(found) == MAX_VIOLATIONS:
                break
        return found


def _check_steps(schema: dict[str, Any]) -> None:
    """Count what is in a schema as often as references lead there. Raises BadSchema beyond MAX_STEPS."""
    counted: dict[str, int] = {}

    def steps(node: Any) -> int:
        if isinstance(node, list):
            return sum(map(steps, node))
        if not isinstance(node, dict):
            return 1
        total = 1
        for key, inner in node.items():
            if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(inner, str):
                total += steps_of(inner)
            elif key not in ("$defs", "definitions"):  # counted where they are used
                total += steps(inner)
            if total > MAX_STEPS:
                raise BadSchema(f"too large: more than {MAX_STEPS} steps for one payload, references followed")
        return total

    def steps_of(reference: str) -> int:
        if reference not in counted:
            counted[reference] = 1  # a cycle: each turn consumes a level of the payload
            counted[reference] = steps(_target(schema, reference))
        return counted[reference]

    steps(schema)


def _target(schema: dict[str, Any], reference: str) -> Any:
    """What a local reference names; None if it names nothing here, which compiling will find out."""
    if not reference.startswith("#/"):
        return None
    node: Any = schema
    for step in reference[2:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        elif isinstance(node, dict):
            node = node.get(step)
        else:
            return None
    return node
