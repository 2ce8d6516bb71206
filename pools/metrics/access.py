"""Who may read metrics: everybody, or whoever has METRICS_TOKEN."""

import hmac

REFUSAL = "Use 'Authorization: Bearer <METRICS_TOKEN>'"


def may_scrape(authorization: str | None, token: str) -> bool:
    """Whether the header has the token, if there is one."""
    return not token or hmac.compare_digest((authorization or "").encode(), f"Bearer {token}".encode())
