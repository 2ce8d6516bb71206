"""Checks payloads against a template's JSON Schema, within a bounded amount of work.

Schemas come from tenants. So jsonschema-rs is used instead of jsonschema: its patterns take linear time (a `(a+)+$`
would otherwise occupy a worker for ever), it opens no connection for a `$ref`, and it is a hundred times as fast. But
a running check cannot be stopped. So the work is counted beforehand, and a payload that takes too much is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs

from common.errors import StateError
from common.strict_json import count_values
from leads import schema_subset as subset
from leads.schema_subset import BadSchema

MAX_VIOLATIONS = 100  # in one answer
MAX_LISTED_WORK = 2500  # steps; if checking takes more, only the first violation is named
MAX_TEXT = 500  # characters per violation: the library quotes the schema

MAX_WORK = 50_000  # steps for one payload: about 50 ms
MAX_WORK_OF_A_REQUEST = 500_000  # for all payloads of a bulk push, and for their schemas
CHARACTER, CHARACTER_OF_LARGE = 2, 100  # steps per character that a small or a large pattern is matched with
MULTIPLE_OF = 40  # steps; the library divides exactly, whatever the exponents
UNIQUE = 1  # steps per value


class TooMuchWork(StateError):
    """400: checking a payload would take more than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Checking the payload against the template's expected_payload_schema would take more than {limit} steps: "
            "push fewer values, shorter texts where the schema has a pattern, or fewer leads in one request."
        )


class Work:
    """A budget of steps."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def spend(self, steps: int) -> None:
        """Take steps from the budget. Raises TooMuchWork (400) if it is exceeded."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork(self.limit)


class WorkCount:
    """Counts the steps of checking payloads against one schema, which `schema_subset.check` has accepted.

    It walks schema and payload together, as a validator does, but compares nothing.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._own: dict[int, int] = {}  # steps by id() of a node of the schema

    def count(self, payload: Any) -> int:
        """Return the steps for a payload. Raises TooMuchWork (400) if they are more than MAX_WORK."""
        work = Work(MAX_WORK)
        self._visit(self._root, payload, work)
        if any(keyword in self._root for keyword in subset.UNEVALUATED):  # the validator goes over everything twice
            self._visit(self._root, payload, work)
        return MAX_WORK - work.left

    def _visit(self, node: Any, value: Any, work: Work) -> None:
        if not isinstance(node, dict):
            work.spend(1)
            return
        work.spend(self._steps(node))
        for inner in self._in_same_place(node):
            self._visit(inner, value, work)
        if isinstance(value, str):
            work.spend(_of_text(node, value))
        elif isinstance(value, dict):
            self._visit_members(node, value, work)
        elif isinstance(value, list):
            self._visit_items(node, value, work)
        elif "multipleOf" in node:
            work.spend(MULTIPLE_OF)

    def _steps(self, node: dict[str, Any]) -> int:
        if id(node) not in self._own:
            patterns = sum(subset.is_large(pattern) for pattern in subset.patterns(node))
            self._own[id(node)] = subset.own_steps(node) - patterns * subset.STEPS_OF_A_LARGE_PATTERN
        return self._own[id(node)]

    def _in_same_place(self, node: dict[str, Any]) -> Iterator[Any]:
        if "$ref" in node:
            yield subset.definition(self._root, node["$ref"])
        for keyword in subset.SAME_PLACE:
            if keyword in node:
                yield node[keyword]
        for keyword in subset.SAME_PLACE_LISTS:
            yield from subset.as_list(node.get(keyword))
        for keyword in subset.SAME_PLACE_MAPS:
            yield from (one for one in subset.as_dict(node.get(keyword)).values() if isinstance(one, dict))

    def _visit_members(self, node: dict[str, Any], value: dict[str, Any], work: Work) -> None:
        for name, inner in subset.as_dict(node.get("properties")).items():
            if name in value:
                self._visit(inner, value[name], work)
        for pattern, inner in subset.as_dict(node.get("patternProperties")).items():
            for name, member in value.items():
                work.spend(_of_pattern(pattern, name))
                self._visit(inner, member, work)
        for keyword in subset.EACH_PROPERTY:
            if keyword in node:
                for member in value.values():
                    self._visit(node[keyword], member, work)
        if "propertyNames" in node:
            for name in value:
                self._visit(node["propertyNames"], name, work)

    def _visit_items(self, node: dict[str, Any], value: list[Any], work: Work) -> None:
        if node.get("uniqueItems"):
            work.spend(UNIQUE * count_values(value))
        items = node.get("items")
        places = items if isinstance(items, list) else subset.as_list(node.get("prefixItems"))
        for inner, member in zip(places, value, strict=False):
            self._visit(inner, member, work)
        each = [node[keyword] for keyword in subset.EACH_ITEM if keyword in node]
        if "items" in node and not isinstance(items, list):
            each.append(items)
        for inner in each:
            for member in value:
                self._visit(inner, member, work)


def _of_text(node: dict[str, Any], text: str) -> int:
    steps = len(text) // 1000
    if "format" in node:
        steps += len(text) // 10
    if "pattern" in node:
        steps += _of_pattern(node["pattern"], text)
    return steps


def _of_pattern(pattern: str, text: str) -> int:
    return 1 + len(text) * (CHARACTER_OF_LARGE if subset.is_large(pattern) else CHARACTER)


@dataclass(frozen=True)
class Violation:
    loc: list[str | int]
    msg: str
    kind: str


class PayloadSchema:
    """A compiled schema. Raises BadSchema if it cannot be used. `work`: the budget of the whole request."""

    def __init__(self, schema: dict[str, Any], work: Work | None = None) -> None:
        steps = subset.check(schema)
        if work:
            work.spend(steps)
        try:
            self._validator = jsonschema_rs.validator_for(
                schema,
                offline=True,
                mask="the value",
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=subset.LARGE_PATTERN),
            )
        except (ValueError, TypeError) as error:
            where = "/".join(str(step) for step in getattr(error, "instance_path", []))
            text = str(error).partition("\n")[0]
            raise BadSchema(f"{where}: {text}" if where else text) from None
        self._work = WorkCount(schema)
        self._has_alternatives = _has_alternatives(schema)

    def violations(self, payload: dict[str, Any], work: Work | None = None) -> list[Violation]:
        """Return the violations in a payload, at most a hundred; only the first if the payload is much work to check.

        Their texts do not contain values of the payload. Raises TooMuchWork (400).
        """
        steps = self._work.count(payload)
        if work:
            work.spend(steps)
        if self._validator.is_valid(payload):
            return []
        if steps <= MAX_LISTED_WORK:
            return [_violation(error) for error in islice(self._validator.iter_errors(payload), MAX_VIOLATIONS)]
        if self._has_alternatives:  # the library's error would list what is wrong with each alternative
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
        todo.extend(subset.subschemas(node))
        for prefix in subset.DEFINITIONS:
            todo.extend(subset.as_dict(node.get(prefix)).values())
    return False
