"""Signatures of the reporting webhook: by a standard, with a secret of each reseller, as the documentation
verifies them."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from leads.webhooks import signing
from tests.support.make import make_template


def test_a_signature_is_the_standards():
    """An example that libraries of the standard are tested with."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signature = signing.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_reseller_has_a_secret_of_its_own_and_two_keys_sign_twice():
    secrets = [signing.secret_of(reseller, key) for reseller in ("acme", "other") for key in ("k1", "k2")]
    assert len(set(secrets)) == 4 and all(secret.startswith("whsec_") for secret in secrets)
    headers = signing.headers(secrets[:2], "id-1", 1700000000, b"{}")
    assert headers["webhook-signature"].split() == [
        signing.signature(secret, "id-1", 1700000000, b"{}") for secret in secrets[:2]
    ]
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("id-1", "1700000000")


def snippet() -> dict[str, Any]:
    """The verification that docs/webhooks.md shows, as it stands there."""
    text = (Path(__file__).resolve().parent.parent.parent / "docs" / "webhooks.md").read_text()
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)  # noqa: S102 (our own documentation)
    return names


def test_the_documented_verification_takes_what_we_send_and_nothing_else():
    verify = snippet()["verify"]
    old, new = (signing.secret_of("acme", key) for key in ("old", "new"))
    now = int(datetime.now(UTC).timestamp())
    headers = signing.headers([new, old], "id-1", now, b'{"a":1}')
    assert verify(b'{"a":1}', headers, old) and verify(b'{"a":1}', headers, new)
    assert not verify(b'{"a":2}', headers, new)
    assert not verify(b'{"a":1}', headers, signing.secret_of("other", "new"))
    assert not verify(b'{"a":1}', headers | {"webhook-id": "id-2"}, new)
    assert not verify(b'{"a":1}', signing.headers([new], "id-1", now - 3600, b'{"a":1}'), new)


@pytest.mark.django_db
def test_the_command_tells_a_resellers_secret(capsys, settings):
    settings.REPORTING_WEBHOOK_KEYS = ["new" * 11, "old" * 11]
    make_template(reseller_id="acme")
    call_command("webhooksecret", "acme")
    assert capsys.readouterr().out.strip() == signing.secret_of("acme", "new" * 11)
    with pytest.raises(CommandError, match="nobody"):
        call_command("webhooksecret", "nobody")
