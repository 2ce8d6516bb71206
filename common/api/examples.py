"""Ids in the examples of the OpenAPI description; its tests make rows with them."""

EXAMPLE_LEAD = "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"
EXAMPLE_SESSION = "0b9f6f3e-3c53-4b0c-a3f5-0f4b6f8f4c22"
EXAMPLE_TOKEN = "9d2f7c1e-6a0b-4a7e-9d57-0a3f6b1c2d3e"  # noqa: S105  # the id, not the token
EXAMPLE_TEMPLATE = "c2b7a6f4-1f5d-4c8e-8f7b-5e9a0d1c2b3f"
