"""`.env.example` is the documentation of the settings: it names each variable that is read, with the real default."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()
DOCUMENTED = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", EXAMPLE, re.MULTILINE))


# Read by gunicorn.conf.py, by `make run` and by the embedded PostgreSQL; a secret key is made when none is set.
NOT_IN_SETTINGS = ("LISTEN_ON", "PORT", "POSTGRES_BIN_DIR", "WEB_CONCURRENCY", "WEB_THREADS", "SECRET_KEY")


def test_each_variable_that_the_settings_read_is_documented():
    source = (ROOT / "breezebuddy" / "settings.py").read_text()
    read = set(
        re.findall(
            r"conf\.(?:text|whole_number|seconds|switch|choice|names|networks|rate|pem|secret)\(\s*\"([A-Z_0-9]+)\"",
            source,
        )
    )
    read |= set(re.findall(r"\"([A-Z_]+_POOL_SIZE)\"", source))
    assert len(read) > 25
    assert read - DOCUMENTED.keys() == set()


def test_each_variable_has_a_line_of_meaning():
    for name in DOCUMENTED:
        before = EXAMPLE.split(f"\n{name}=")[0].rsplit("\n", 1)[-1]
        assert before.startswith("# "), name


def test_the_table_for_production_has_each_variable_once_with_its_default():
    table = (ROOT / "docs" / "deploy.md").read_text().split("## Every setting")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| (?:`(.+?)`)? ?\| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert {name: default for name, default, *_ in rows} == DOCUMENTED
    assert len(rows) == len(DOCUMENTED)


@pytest.fixture
def settings_under(monkeypatch):
    """Read the settings anew, in an environment in which of our variables only the given ones are set."""

    def read(environment: dict[str, str]) -> dict[str, Any]:
        for name in DOCUMENTED:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "breezebuddy" / "settings.py"))

    return read


def test_the_example_as_it_stands_is_what_nothing_set_gives(settings_under):
    shown = [name for name in DOCUMENTED if name not in NOT_IN_SETTINGS]
    as_written, unset = settings_under(DOCUMENTED), settings_under({})
    assert {name: as_written[name] for name in shown} == {name: unset[name] for name in shown}


@pytest.mark.parametrize(
    ("bot", "folder", "module", "found"),
    [
        ("voice.sales", "/srv/bots", "voice.sales", "/srv/bots"),
        ("voice.sales", "", "voice.sales", str(ROOT)),
        ("/srv/bots/bot.py", "", "bot", "/srv/bots"),
        ("bot.py", "/srv/bots", "bot", "/srv/bots"),
        ("./voice/sales.py", "/srv/bots", "voice.sales", "/srv/bots"),
        ("/srv/bots/voice/sales.py", "/srv/bots", "voice.sales", "/srv/bots"),
    ],
)
def test_a_bot_may_be_named_by_its_file(settings_under, bot, folder, module, found):
    settings = settings_under({"VOICE_AGENT_BOT": bot, "VOICE_AGENT_BOT_DIR": folder})
    assert (settings["VOICE_AGENT_BOT"], str(settings["VOICE_AGENT_BOT_DIR"])) == (module, found)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("VOICE_AGENT_POOL_SIZE", "many", "a whole number from 0 to 10000"),
        ("VOICE_AGENT_POOL_SIZE", "-1", "a whole number from 0 to 10000"),
        ("VOICE_AGENT_POOL_SIZE", "4", "at most VOICE_AGENT_MAX_POOL_SIZE, which is 3"),
        ("DAILY_ROOM_POOL_SIZE", "2.5", "a whole number"),
        ("DAILY_ROOM_POOL_SIZE", "6", "at most DAILY_ROOM_MAX_POOL_SIZE, which is 5"),
        ("VOICE_AGENT_MAX_PROCESSES", "2", "VOICE_AGENT_MAX_POOL_SIZE"),
        ("MAX_DAILY_SESSION_LIMIT", "0", "from 10"),
        ("DRAIN_TIMEOUT", "nan", "a number of seconds"),
        ("VOICE_AGENT_START_METHOD", "thread", "one of zygote, spawn"),
        ("DAILY_API_URL", "api.daily.co", "https://"),
        ("DAILY_ROOM_PREFIX", "b b", "letters, digits"),
        ("DAILY_SELF_SIGNED_TOKENS", "perhaps", "on or off"),
        ("REPORTING_WEBHOOK_NETWORKS", "192.168.0.1/16", "networks such as"),
        ("PUBLIC_URL", "pools.example.com", "https://"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_variable_value_and_what_is_allowed(
    settings_under, name, value, allowed
):
    with pytest.raises(ImproperlyConfigured) as refused:
        settings_under({name: value})
    message = str(refused.value)
    assert allowed in message
    if name != "VOICE_AGENT_MAX_PROCESSES":  # refused through the cap, which exceeds it
        assert f"{name}={value}" in message


@pytest.mark.parametrize(
    ("environment", "is_sandbox"),
    [({}, False), ({"DAILY_API_URL": "https://daily.example.com/v1"}, False), ({"DAILY_API_URL": "http://h:1"}, True)],
)
def test_the_address_of_the_api_says_once_whether_rooms_are_those_of_a_sandbox(settings_under, environment, is_sandbox):
    assert settings_under(environment)["DAILY_IS_SANDBOX"] is is_sandbox


DATABASE = "postgres://u@h/d"
STRONG = "0123456789abcdef" * 4  # as long as what `openssl rand -hex 32` prints


def test_production_needs_a_secret_key(settings_under):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        settings_under({"DATABASE_URL": DATABASE})


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SECRET_KEY"])
@pytest.mark.parametrize("weak", ["changeme", "x" * 100, "changeme" * 8, "a-word-of-31-characters-only..."])
def test_a_key_that_can_be_guessed_is_refused_and_not_shown(settings_under, name, weak):
    with pytest.raises(ImproperlyConfigured, match=f"^{name}=.not shown. is not allowed: a random value") as refused:
        settings_under({"DATABASE_URL": DATABASE, "SECRET_KEY": STRONG, name: weak})
    assert weak not in str(refused.value)
    assert settings_under({"DATABASE_URL": DATABASE, "SECRET_KEY": STRONG, name: STRONG})[name] == STRONG


def test_a_secret_may_begin_with_a_dollar_sign(settings_under):
    secret = f"${STRONG}"
    assert settings_under({"DATABASE_URL": DATABASE, "SECRET_KEY": secret})["SECRET_KEY"] == secret


def test_production_refuses_debug_pages(settings_under):
    with pytest.raises(ImproperlyConfigured, match="DEBUG=on is not allowed: off where DATABASE_URL is set"):
        settings_under({"DATABASE_URL": DATABASE, "SECRET_KEY": STRONG, "DEBUG": "on"})
    assert settings_under({"DEBUG": "on"})["DEBUG"]


def recommended() -> dict[str, str]:
    """The settings of docs/deploy.md for an API that the internet reaches."""
    block = (ROOT / "docs" / "deploy.md").read_text().split("### Reached from the internet")[1].split("```")[1]
    return dict(line.split("=", 1) for line in block.strip().splitlines())


def checked(**environment: str) -> str:
    """What `manage.py check --deploy` says in this environment."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_check_deploy_is_silent_with_the_recommended_settings_and_not_without_https():
    environment = recommended() | {"DATABASE_URL": DATABASE, "SECRET_KEY": STRONG, "DAILY_API_KEY": "key"}
    said = checked(**environment)
    assert "WARNINGS" not in said and said.startswith("System check identified no issues"), said
    said = checked(**environment | {"PUBLIC_URL": "http://pools.example.com"})
    assert "security.W012" in said and "security.W016" in said


def test_cookies_are_secure_where_the_service_is_reached_over_https(settings_under):
    for url, secure in (("https://pools.example.com", True), ("http://127.0.0.1:8000", False), ("", False)):
        read = settings_under({"PUBLIC_URL": url})
        assert (read["SESSION_COOKIE_SECURE"], read["CSRF_COOKIE_SECURE"]) == (secure, secure)
