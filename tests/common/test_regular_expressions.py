"""Every regular expression of the service takes linear time, whatever text it meets."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common import masking
from pools.logs.redaction import Redactor

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("access", "breezebuddy", "common", "devtools", "leads", "pools")
SOURCES = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py"))]
FUNCTIONS = ("compile", "search", "match", "fullmatch", "sub", "split", "findall", "finditer")
# Meet only what an operator has typed or set, or the command line of a process.
OPERATORS = (
    "pools/terminal/",
    "pools/agent/environment.py",
    "breezebuddy/configuration.py",
    "devtools/embedded_postgres/",
    "breezebuddy/metrics_directory.py",
)
MATCHED_WHOLE = ("_SECRET_NAME", "_FILE")  # by fullmatch() only, where it takes linear time
LENGTH = 10_000
# What begins many matches and completes none. The last characters make a match fail at its end.
PARTS = (
    *("a", "a.", "a-", "a b ", "ab_", "aaaa.", "A", "0a-", "é", "no ", "1", "1.", "1 ", "12-", "1-1-1 1:1:1", "+1"),
    *(" ", "\n", "\t ", "! ", "(", "((1", '"', "'", "\\", '\\"', 'a="', "a='", ' a="b', " a=b", "://", "a://", '://"'),
    *("a://b@", "a://b?", "@", "?", "#", "/", "eyJ", "eyJaaaaaaaaaa.", "_number", "customer", "timed "),
)
ENDS = ("", "!", "\x00", "5\n")
# What is put together when it is compiled cannot be read from the source.
PUT_TOGETHER = {
    "pools/logs/redaction.py": Redactor(["a secret of the test"])._pattern,
}


Expression = re.Pattern[str] | re.Pattern[bytes]


def expressions() -> Iterator[tuple[str, Expression, bool]]:
    """Place, expression, and whether it is used with fullmatch() only."""
    for path in SOURCES:
        name, text = str(path.relative_to(ROOT)), path.read_text()
        if "import re\n" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if name.startswith(OPERATORS) or not (isinstance(node, ast.Call) and _is_of_re(node.func) and node.args):
                continue
            try:
                flags = re.IGNORECASE if {"re.I", "re.IGNORECASE"} & set(map(ast.unparse, node.args)) else 0
                found: Expression = re.compile(ast.literal_eval(node.args[0]), flags | re.MULTILINE)
            except ValueError:
                found = PUT_TOGETHER[name]
            whole = text.splitlines()[node.lineno - 1].startswith(MATCHED_WHOLE)
            yield f"{name}:{node.lineno}", found, whole


def _is_of_re(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in FUNCTIONS and ast.unparse(function.value) == "re"


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(
    ("expression", "whole"), [pytest.param(pattern, whole, id=place) for place, pattern, whole in EXPRESSIONS]
)
def test_a_regular_expression_takes_linear_time(expression, whole):
    for text in (part * (LENGTH // len(part)) + end for part in PARTS for end in ENDS):
        value = text.encode() if isinstance(expression.pattern, bytes) else text
        quickest = min(seconds(expression, value, whole) for _ in range(2))
        assert quickest < 0.03, f"slow with {text[:20]!r}..."  # linear: 1 or 2 ms; quadratic: more than 100


def seconds(expression: Expression, value: Any, whole: bool) -> float:
    began = time.thread_time()
    expression.fullmatch(value)
    if not whole:
        expression.sub(value[:0], value)
    return time.thread_time() - began


def test_expressions_are_found():
    assert len(EXPRESSIONS) > 15


@pytest.mark.parametrize("part", PARTS)
def test_masking_takes_linear_time(part):
    began = time.process_time()
    masking.masked({"note": part * (100_000 // len(part)), part * 100: [part] * 100})
    assert time.process_time() - began < 5
