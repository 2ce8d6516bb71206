from django.urls import path

from pools.api.automatic import AutomaticView
from pools.api.cleanup import CleanupView
from pools.api.daily_webhook import DailyWebhookView
from pools.api.reservations import ReservationsView, ReservationView
from pools.api.status import PoolStatusView, RoomPoolStatusView
from pools.api.timeline import TimelineView

AUTOMATIC = "agent/voice/automatic"

urlpatterns = [
    path(AUTOMATIC, AutomaticView.as_view(), name="automatic"),
    path(f"{AUTOMATIC}/pool/status", PoolStatusView.as_view(), name="pool-status"),
    path(f"{AUTOMATIC}/pool/rooms/status", RoomPoolStatusView.as_view(), name="room-pool-status"),
    path(f"{AUTOMATIC}/pool/reservations", ReservationsView.as_view(), name="reservations"),
    path(f"{AUTOMATIC}/pool/reservations/<str:order_id>", ReservationView.as_view(), name="reservation"),
    path(f"{AUTOMATIC}/cleanup/<str:session_id>", CleanupView.as_view(), name="cleanup"),
    path(f"{AUTOMATIC}/sessions/<str:session_id>/timeline", TimelineView.as_view(), name="timeline"),
    path("webhooks/daily", DailyWebhookView.as_view(), name="daily-webhook"),
]
