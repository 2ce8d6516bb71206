"""Load runs: the real service in a private world, as many leads as a campaign has; what a tenant can do to the API."""
