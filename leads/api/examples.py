"""Ids in the examples of the OpenAPI description; its tests make rows with them."""

EXAMPLE_LEAD = "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"
EXAMPLE_SESSION = "0b9f6f3e-3c53-4b0c-a3f5-0f4b6f8f4c22"
