"""The reporting webhook tells the integrator who pushed a lead how it ended. See docs/webhooks.md."""
