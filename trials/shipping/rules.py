"""Makes the Prometheus Operator's alerts from those for Prometheus: `python -m trials shipping rules`."""

from pathlib import Path

import yaml

HEADER = (
    "# Made from deploy/prometheus/alerts.yml by `python -m trials shipping rules`; a test fails where they differ.\n"
)


def rule_of(alerts: Path) -> str:
    """Return the text of a PrometheusRule with the same groups."""
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "breezebuddy", "labels": {"app.kubernetes.io/part-of": "breezebuddy"}},
        "spec": yaml.safe_load(alerts.read_text()),
    }
    return HEADER + yaml.safe_dump(resource, sort_keys=False, width=120)
