from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from access import urls as access_urls
from breezebuddy.metrics import MetricsView
from breezebuddy.views import HealthView, ReadinessView
from leads.talk import talk

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs")),
    path("health", HealthView.as_view(), name="health"),
    path("health/ready", ReadinessView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("agent/voice/breeze-buddy/", include("access.urls")),
    path("agent/voice/breeze-buddy/", include("leads.urls")),
    path("", include(access_urls.at_root)),
    path("", include("pools.urls")),
    path("talk", talk, name="talk"),
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

handler400 = "common.errors.handler400"
handler404 = "common.errors.handler404"
handler500 = "common.errors.handler500"
