"""The colours of statuses in lists: names of the theme's labels."""

REPLACED_SOON = "available, to be replaced"
STATUS_COLOURS = {
    "warming": "info",
    "available": "success",
    REPLACED_SOON: "warning",
    "in_use": "primary",
    "waiting": "warning",
    "assigned": "info",
    "active": "success",
}
START_COLOURS = {"hot": "success", "warm": "success", "partial": "warning", "cold": "danger"}
POD_COLOURS = {"live": "success", "draining": "warning", "out of service": "warning", "silent": "danger"}
ORDER_COLOURS = {"in force": "warning", "to come": "info"}
ROLLOUT_COLOURS = {"in force": "success", "taken back": "warning"}
