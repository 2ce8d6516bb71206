"""The reporting webhook: whoever pushed a lead is told how it ended. See docs/webhooks.md."""
