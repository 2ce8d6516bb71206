"""JSON Schema of payloads: what a template expects, and every way in which a payload is not that.

jsonschema-rs instead of jsonschema, because schemas come from tenants: its patterns take linear time (one `(a+)+$`
would hold a worker for ever), it asks nothing of the network for `$ref`, and it is a hundred times as fast. It cannot
be stopped, though, and collects all that is wrong before it names the first: so the work is counted before.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from leads import schema_subset
from leads.schema_subset import BadSchema
from leads.schema_work import Work, WorkCount

MAX_VIOLATIONS = 100  # that are listed
MAX_LISTED_WORK = 2500  # steps: beyond it, only the first violation is named
MAX_TEXT = 500  # characters of a violation: the library quotes the schema


@dataclass(frozen=True)
class Violation:
    loc: list[str | int]
    msg: str
    kind: str


class PayloadSchema:
    """A compiled schema. Raises BadSchema if it cannot be used; `work` is what a request may still take."""

    def __init__(self, schema: dict[str, Any], work: Work | None = None) -> None:
        steps = schema_subset.check(schema)
        if work:
            work.spend(steps)
        try:
            self._validator = jsonschema_rs.validator_for(
                schema,
                offline=True,
                mask="the value",
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=schema_subset.LARGE_PATTERN),
            )
        except (ValueError, TypeError) as error:
            where = "/".join(str(step) for step in getattr(error, "instance_path", []))
            text = str(error).partition("\n")[0]
            raise BadSchema(f"{where}: {text}" if where else text) from None
        self._work = WorkCount(schema)
        self._has_alternatives = _has_alternatives(schema)

    def violations(self, payload: dict[str, Any], work: Work | None = None) -> list[Violation]:
        """All of them, up to a hundred; of a payload that is much work to check, the first. Their texts do not repeat
        the payload's values. Raises TooMuchWork (400)."""
        steps = self._work.count(payload)
        if work:
            work.spend(steps)
        if self._validator.is_valid(payload):
            return []
        if steps <= MAX_LISTED_WORK:
            return [_violation(error) for error in islice(self._validator.iter_errors(payload), MAX_VIOLATIONS)]
        if self._has_alternatives:  # the error would hold what is wrong with each of them
            return [Violation([], "is not what the schema describes, and too large to say where", "schema")]
        try:
            self._validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            return [_violation(error)]
        return []


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    return Violation(list(error.instance_path), error.message[:MAX_TEXT], str(error.schema_path[-1]))


def _has_alternatives(schema: dict[str, Any]) -> bool:
    todo: list[Any] = [schema]
    while todo:
        node = todo.pop()
        if not isinstance(node, dict):
            continue
        if "anyOf" in node or "oneOf" in node:
            return True
        todo.extend(schema_subset.subschemas(node))
        for prefix in schema_subset.DEFINITIONS:
            todo.extend(schema_subset.as_dict(node.get(prefix)).values())
    return False
