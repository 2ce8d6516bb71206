"""What leads tell Prometheus: how many wait."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from leads.models import Lead, LeadStatus


def metrics() -> Iterator[Metric]:
    """One statement. Raises django.db.Error."""
    backlog = Lead.objects.filter(status=LeadStatus.BACKLOG).count()
    yield GaugeMetricFamily("breeze_buddy_lead_backlog", "Leads in BACKLOG.", value=backlog)
