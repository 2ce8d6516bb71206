"""The OpenAPI description is valid, complete, and its documentation page works without the internet."""

import re

import pytest
from django.core.management import call_command

from tests.support.api import get

PROMISED = {
    ("/agent/voice/breeze-buddy/login", "post"): {"200", "403", "411", "413", "415", "422", "429", "503"},
    ("/agent/voice/breeze-buddy/auth/me", "get"): {"200", "401", "503"},
    ("/agent/voice/breeze-buddy/s2s-token", "get"): {"200", "401", "403", "422", "503"},
    ("/agent/voice/breeze-buddy/s2s-token", "post"): {"201", "401", "403", "411", "413", "415", "422", "503"},
    ("/agent/voice/breeze-buddy/s2s-token/{token_id}", "delete"): {"204", "401", "403", "404", "503"},
    ("/agent/voice/breeze-buddy/leads/recording/{call_sid}", "get"): {"200", "206", "401", "404", "416", "502", "503"},
    ("/agent/voice/breeze-buddy/leads", "get"): {"200", "401", "422", "503"},
    ("/agent/voice/breeze-buddy/leads", "post"): {
        "201", "400", "401", "403", "404", "409", "411", "413", "415", "422", "429", "503",
    },
    ("/agent/voice/breeze-buddy/leads/bulk", "post"): {
        "200", "401", "403", "409", "411", "413", "415", "422", "429", "503",
    },
    ("/agent/voice/breeze-buddy/leads/{lead_id}", "get"): {"200", "401", "404", "503"},
    ("/agent/voice/breeze-buddy/leads/{lead_id}", "delete"): {"200", "400", "401", "403", "404", "422", "503"},
    ("/agent/voice/breeze-buddy/leads/{lead_id}/dispatch-now", "post"): {
        "200", "400", "401", "403", "404", "409", "503",
    },
    ("/agent/voice/breeze-buddy/lead/abort", "post"): {"200", "401", "403", "411", "413", "415", "422", "503"},
    ("/agent/voice/breeze-buddy/templates", "get"): {"200", "401", "422", "503"},
    ("/agent/voice/breeze-buddy/templates", "post"): {
        "201", "401", "403", "409", "411", "413", "415", "422", "503",
    },
    ("/agent/voice/breeze-buddy/templates/{template_id}", "get"): {"200", "401", "404", "503"},
    ("/agent/voice/breeze-buddy/templates/{template_id}", "patch"): {
        "200", "401", "403", "404", "409", "411", "413", "415", "422", "503",
    },
    ("/agent/voice/automatic", "post"): {"200", "401", "403", "409", "411", "413", "415", "422", "503"},
    ("/agent/voice/breeze-buddy/connect", "post"): {
        "200", "400", "401", "403", "404", "409", "411", "413", "415", "422", "503",
    },
    ("/agent/voice/automatic/pool/status", "get"): {"200", "401", "404", "503"},
    ("/agent/voice/automatic/pool/rooms/status", "get"): {"200", "401", "404", "503"},
    ("/agent/voice/automatic/pool/reservations", "get"): {"200", "401", "403", "503"},
    ("/agent/voice/automatic/pool/reservations", "post"): {
        "201", "400", "401", "403", "411", "413", "415", "422", "503",
    },
    ("/agent/voice/automatic/pool/reservations/{order_id}", "delete"): {"204", "401", "403", "404", "503"},
    ("/agent/voice/automatic/cleanup/{session_id}", "post"): {"200", "401", "403", "404", "503"},
    ("/agent/voice/automatic/sessions/{session_id}/timeline", "get"): {"200", "401", "404", "503"},
    ("/health", "get"): {"200"},
    ("/health/ready", "get"): {"200", "503"},
}  # fmt: skip


@pytest.fixture(scope="module")
def schema():
    return get("/openapi.json").json()


def test_the_description_is_valid_and_without_warnings(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_every_endpoint_describes_every_answer(schema):
    described = {
        (path, method): set(operation["responses"])
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert described == PROMISED


def test_every_body_and_answer_has_an_example(schema):
    for path, method in PROMISED:
        operation = schema["paths"][path][method]
        answers = [answer["content"] for answer in operation["responses"].values() if "content" in answer]
        contents = [answer["application/json"] for answer in answers if "audio/mp4" not in answer]
        if "requestBody" in operation:
            contents.append(operation["requestBody"]["content"]["application/json"])
        for content in contents:
            assert "schema" in content
        examples = [content for content in contents if content.get("examples")]
        assert len(examples) >= len(contents) - (path.endswith("status") or "{lead_id}" in path), (path, method)


def test_only_what_needs_a_token_says_so(schema):
    for (path, method), answers in PROMISED.items():
        open_to_all = path.endswith(("login", "status", "health", "ready"))
        needs_token = not open_to_all
        security = schema["paths"][path][method].get("security", [])
        assert ({"bearer": []} in security and {} not in security) == needs_token, path
        assert not needs_token or "401" in answers


def test_the_documentation_page_loads_nothing_from_elsewhere():
    page = get("/docs")
    assert page.status_code == 200
    sources = re.findall(r"""(?:src|href)=["']([^"']+)""", page.content.decode())
    assert sources
    for source in sources:
        assert source.startswith(("/", "data:")), source
        if source.startswith("/static/"):
            assert get(source).status_code == 200


def test_the_root_leads_to_the_documentation():
    assert get("/")["Location"] == "/docs"
