from django.urls import path

from pools.views import PoolStatusView, RoomPoolStatusView

urlpatterns = [
    path("pool/status", PoolStatusView.as_view(), name="pool-status"),
    path("pool/rooms/status", RoomPoolStatusView.as_view(), name="room-pool-status"),
]
