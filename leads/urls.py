from django.urls import path

from leads.api.abort import AbortView
from leads.api.bulk import BulkPushView
from leads.api.connect import ConnectView
from leads.api.dispatch_now import DispatchNowView
from leads.api.leads import LeadsView, LeadView
from leads.api.recording import RecordingView
from leads.api.templates import TemplatesView, TemplateView

urlpatterns = [
    path("leads", LeadsView.as_view(), name="leads"),
    path("leads/bulk", BulkPushView.as_view(), name="leads-bulk"),
    path("leads/recording/<str:call_sid>", RecordingView.as_view(), name="recording"),
    path("leads/<str:lead_id>", LeadView.as_view(), name="lead"),
    path("leads/<str:lead_id>/dispatch-now", DispatchNowView.as_view(), name="dispatch-now"),
    path("lead/abort", AbortView.as_view(), name="abort"),
    path("templates", TemplatesView.as_view(), name="templates"),
    path("templates/<str:template_id>", TemplateView.as_view(), name="template"),
    path("connect", ConnectView.as_view(), name="connect"),
]
