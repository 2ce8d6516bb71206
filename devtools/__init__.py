"""For development only: an embedded PostgreSQL, a sandbox that speaks Daily's protocol, `make run`. In no image."""
