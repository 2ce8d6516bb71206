"""JSON Schema of payloads: what a template expects, and every way in which a payload is not that.

jsonschema-rs instead of jsonschema, because schemas come from tenants: its patterns take linear time (one `(a+)+$`
would hold a worker for ever), it asks nothing of the network for `$ref`, and it is a hundred times as fast. It cannot
be stopped, though, and collects all that is wrong before it names the first: so the work is counted before.
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

MAX_VIOLATIONS = 100  # that are listed
MAX_LISTED_WORK = 2500  # steps: beyond it, only the first violation is named
MAX_TEXT = 500  # characters of a violation: the library quotes the schema

MAX_WORK = 50_000  # steps for one payload: about 50 ms
MAX_WORK_OF_A_REQUEST = 500_000  # for all payloads of a bulk push, and for their schemas
CHARACTER, CHARACTER_OF_LARGE = 2, 100  # steps a character, of a pattern that is small or large
MULTIPLE_OF = 40  # steps: it is reckoned exactly, with any exponents
UNIQUE = 1  # steps a value


class TooMuchWork(StateError):
    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Checking the payload against the template's expected_payload_schema would take more than {limit} steps: "
            "push fewer values, shorter texts where the schema has a pattern, or fewer leads in one request."
        )


class Work:
    """Steps that may still be taken."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def spend(self, steps: int) -> None:
        """Raises TooMuchWork (400)."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork(self.limit)


class WorkCount:
    """Counts for one schema that `schema_subset.check` has let through."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._own: dict[int, int] = {}  # by id of a node of the schema

    def count(self, payload: Any) -> int:
        """Raises TooMuchWork (400) beyond MAX_WORK."""
        work = Work(MAX_WORK)
        self._visit(self._root, payload, work)
        if any(keyword in self._root for keyword in subset.UNEVALUATED):  # all is looked at again
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
    """A compiled schema. Raises BadSchema if it cannot be used; `work` is what a request may still take."""

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
        todo.extend(subset.subschemas(node))
        for prefix in subset.DEFINITIONS:
            todo.extend(subset.as_dict(node.get(prefix)).values())
    return False
