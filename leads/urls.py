from django.urls import path

from leads.api.connect import ConnectView
from leads.api.leads import LeadsView, LeadView

urlpatterns = [
    path("leads", LeadsView.as_view(), name="leads"),
    path("leads/<str:lead_id>", LeadView.as_view(), name="lead"),
    path("connect", ConnectView.as_view(), name="connect"),
]
