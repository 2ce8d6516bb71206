"""What the admin masks in JSON, and what it leaves readable."""

import pytest

from common.masking import mask_phone, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+919876501234", "+91******1234"),
        ("call +91 98765 01234 now", "call +91******1234 now"),
        ("(022) 2765-01234", "02******1234"),
        ("tel:+1-202-555-0143.", "tel:+12******0143."),
        ("9876501234", "98******1234"),
        ("two: 9876501234, +919876501234", "two: 98******1234, +91******1234"),
        ("order 12345678", "order 12345678"),
        ("2026-11-22T18:49:00", "2026-11-22T18:49:00"),
        ("2026-11-22 18:49", "2026-11-22 18:49"),
        ("5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11", "5f0c3c52-9d0e-4a55-8c2e-3b1f0a8f2a11"),
        ("12345678-1234-4234-8234-123456789012", "12345678-1234-4234-8234-123456789012"),
        ("https://example.com/lead?key=abc&to=1", "https://example.com/lead?******"),
        ("see https://example.com/lead#abc, or ask", "see https://example.com/lead#****** or ask"),
        ("https://ann:pw@example.com:8443/x", "https://******@example.com:8443/x"),
        ("https://example.com/9876501234?key=abc", "https://example.com/98******1234?******"),
        ("https://[::1?key=abc", "https://[::1?******"),
        ("https://example.com/lead", "https://example.com/lead"),
        ("really? yes: a?b", "really? yes: a?b"),
        ("", ""),
        ("Zoë", "Zoë"),
    ],
)
def test_numbers_in_text(text, shown):
    assert masked(text) == shown


def test_values_by_their_key_and_everywhere_below():
    value = {
        "customer_mobile_number": "+919876501234",
        "alternate_phone": 12345,
        "whatsapp": "98 76",
        "items": [{"note": "reach me at 9876501234", "price": 499.5, "count": 3, "gift": True, "x": None}],
        "mobile_verified": True,
        "callback": 919876501234,
        "api_key": "sk-123",
        "nested": {"access_token": "abc", "token": ""},
        "9876501234": "as a key",
    }
    assert masked(value) == {
        "customer_mobile_number": "+91******1234",
        "alternate_phone": "******45",
        "whatsapp": "******76",
        "items": [{"note": "reach me at 98******1234", "price": 499.5, "count": 3, "gift": True, "x": None}],
        "mobile_verified": True,
        "callback": "91******1234",
        "api_key": "******",
        "nested": {"access_token": "******", "token": ""},
        "98******1234": "as a key",
    }


def test_a_short_number_keeps_two_digits():
    assert mask_phone("12") == "******12"
