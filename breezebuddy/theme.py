"""The look of the admin: django-unfold's settings. Its fonts, icons and scripts are files of that package; nothing is
loaded from elsewhere."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def may(permission: str) -> Any:
    """Return a predicate for entries that only users with this permission see."""

    def allowed(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return allowed


def item(title: str, icon: str, model: str) -> dict[str, Any]:
    """Return the side bar's entry for the list of a model, such as "pools.pod"."""
    app, name = model.split(".")
    link = reverse_lazy(f"admin:{app}_{name}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": may(f"{app}.view_{name}")}


TEAL = {
    "50": "oklch(98.4% .014 180)",
    "100": "oklch(95.3% .051 181)",
    "200": "oklch(91% .096 180)",
    "300": "oklch(85.5% .138 181)",
    "400": "oklch(77.7% .152 182)",
    "500": "oklch(70.4% .14 182)",
    "600": "oklch(56% .112 185)",
    "700": "oklch(48% .092 187)",
    "800": "oklch(43.7% .078 188)",
    "900": "oklch(38.6% .063 188)",
    "950": "oklch(27.7% .046 193)",
}

UNFOLD = {
    "SITE_TITLE": "Breeze Buddy pools",
    "SITE_HEADER": "Breeze Buddy",
    "SITE_SUBHEADER": "pools",
    "SITE_SYMBOL": "graphic_eq",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("dashboard/favicon.svg")}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": TEAL},
    "STYLES": [lambda request: static("dashboard/cockpit.css")],
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "items": [
                    {
                        "title": "Dashboard",
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:index"),
                        "permission": may("pools.view_pod"),
                    },
                ]
            },
            {
                "title": "Pools",
                "separator": True,
                "items": [
                    item("Pods", "deployed_code", "pools.pod"),
                    item("Agent processes", "smart_toy", "pools.agentprocess"),
                    item("Rooms", "meeting_room", "pools.room"),
                    item("Voice sessions", "call", "pools.voicesession"),
                    item("Overrides", "tune", "pools.pooloverride"),
                    item("Roll-outs", "call_split", "pools.rollout"),
                    item("Daily account", "key", "pools.dailyaccount"),
                    item("Daily budget", "speed", "pools.dailybudgetslot"),
                    item("Daily refusals", "block", "pools.dailyrefusals"),
                    item("Daily events", "webhook", "pools.seendailyevent"),
                ],
            },
            {
                "title": "Leads",
                "separator": True,
                "items": [
                    item("Leads", "contact_phone", "leads.lead"),
                    item("Templates", "description", "leads.template"),
                    item("API tokens", "vpn_key", "access.apitoken"),
                    item("Webhook deliveries", "outgoing_mail", "leads.webhookdelivery"),
                ],
            },
            {
                "title": "People",
                "separator": True,
                "items": [
                    item("Operators' actions", "gavel", "pools.operatoraction"),
                    item("Audit log", "history", "admin.logentry"),
                    item("Users", "person", "auth.user"),
                    item("Profiles", "badge", "access.profile"),
                    item("Groups", "group", "auth.group"),
                ],
            },
        ],
    },
}
