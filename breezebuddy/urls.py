from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from breezebuddy.metrics import MetricsView
from breezebuddy.views import HealthView, ReadinessView
from leads.api.automatic import AutomaticView
from leads.api.cleanup import CleanupView
from leads.api.daily_webhook import DailyWebhookView
from leads.api.reservations import ReservationsView, ReservationView
from leads.api.timeline import TimelineView
from leads.talk import talk

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs")),
    path("health", HealthView.as_view(), name="health"),
    path("health/ready", ReadinessView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("agent/voice/breeze-buddy/", include("leads.urls")),
    path("", include("leads.urls_at_root")),
    path("agent/voice/automatic", AutomaticView.as_view(), name="automatic"),
    path("agent/voice/automatic/", include("pools.urls")),
    path("agent/voice/automatic/pool/reservations", ReservationsView.as_view(), name="reservations"),
    path("agent/voice/automatic/pool/reservations/<str:order_id>", ReservationView.as_view(), name="reservation"),
    path("agent/voice/automatic/cleanup/<str:session_id>", CleanupView.as_view(), name="cleanup"),
    path("talk", talk, name="talk"),
    path("webhooks/daily", DailyWebhookView.as_view(), name="daily-webhook"),
    path("agent/voice/automatic/sessions/<str:session_id>/timeline", TimelineView.as_view(), name="timeline"),
    path("openapi.json", SpectacularJSONAPIView.as_view(authentication_classes=[]), name="openapi"),
    path(
        "docs",
        SpectacularSwaggerView.as_view(
            url_name="openapi",
            authentication_classes=[],
            http_method_names=["get", "head"],  # it has no template for what REST framework answers to OPTIONS
        ),
        name="docs",
    ),
    path("admin", RedirectView.as_view(pattern_name="admin:index", http_method_names=["get", "head"])),
    path("admin/", admin.site.urls),
]

handler400 = "breezebuddy.errors.handler400"
handler404 = "breezebuddy.errors.handler404"
handler500 = "breezebuddy.errors.handler500"
