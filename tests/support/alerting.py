"""The alert rules and the dashboard: their expressions are PromQL and ask for what a scrape has."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import promql_parser
import yaml

from tests.support.programs import PROJECT

ALERTS = PROJECT / "deploy/prometheus/alerts.yml"
DASHBOARD = PROJECT / "deploy/grafana/breeze-buddy.json"
PROMETHEUS_OWN = {"up": {"job", "instance"}, "scrape_duration_seconds": {"job", "instance"}}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """By where they stand."""
    found = {rule["alert"]: rule["expr"] for rule in alerts()}
    for panel in panels():
        for number, target in enumerate(panel["targets"]):
            found[f"{panel['title']} ({number})"] = target["expr"].replace("$__rate_interval", "5m")  # Grafana's
    return found


def selectors(expression: str) -> Iterator[Any]:
    """Everything that names a metric. Raises ValueError for what is no PromQL."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return iter(found)


def check_alerts_and_dashboard(scraped: Iterable[tuple[str, tuple[tuple[str, str], ...]]]) -> None:
    """`scraped`: names and labels of all samples of all ports."""
    labels: dict[str, set[str]] = dict(PROMETHEUS_OWN)
    for name, pairs in scraped:
        labels.setdefault(name, {"job", "instance"}).update(label for label, _ in pairs)
    asked = 0
    for where, expression in expressions().items():
        for selector in selectors(expression):
            asked += 1
            assert selector.name in labels, f"{where}: nothing tells {selector.name}"
            wanted = {matcher.name for matcher in selector.matchers.matchers}
            assert wanted <= labels[selector.name], f"{where}: {selector.name} has no {wanted - labels[selector.name]}"
    assert asked > 40
