"""Every alert says something, is PromQL, and has its paragraph in the runbook. See test_metrics_truth for the names."""

import re

import pytest

from pools.metrics.claims import REASONS
from tests.support.alerting import alerts, expressions, panels, selectors
from tests.support.programs import PROJECT

RUNBOOK = (PROJECT / "docs/operations.md").read_text()


@pytest.mark.parametrize("where", expressions())
def test_the_expression_is_promql_and_names_a_metric(where):
    assert list(selectors(expressions()[where]))


def test_what_is_no_promql_would_be_noticed():
    with pytest.raises(ValueError):
        selectors("rate(breeze_buddy_starts_total[5m]")


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_leads_to_its_paragraph_of_the_runbook(alert):
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    assert f"\n### {name}\n" in RUNBOOK


def test_the_runbook_has_no_paragraph_about_an_alert_that_there_is_not():
    assert set(re.findall(r"^### (BreezeBuddy\w+)$", RUNBOOK, re.MULTILINE)) == {alert["alert"] for alert in alerts()}


def test_every_panel_of_the_dashboard_has_a_place_and_a_title_of_its_own():
    places = [tuple(sorted(panel["gridPos"].items())) for panel in panels()]
    titles = [panel["title"] for panel in panels()]
    assert len(set(places)) == len(places) and len(set(titles)) == len(titles)


def test_every_refusal_has_its_label():
    """One whose text is not known would be counted as `other`."""
    said = set()
    for path in [*(PROJECT / "pools").rglob("*.py")]:
        said |= set(re.findall(r'raise PoolExhausted\(f?"([^"{]+)', path.read_text()))
    assert len(said) >= 7
    assert said <= set(REASONS)
