"""`manage.py runpools`: its options, and the reasons for which it does not start."""

import socket
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from breezebuddy.management.commands.runpools import bot_environment
from pools.models import AgentProcess, Pod, Room
from tests.support.programs import Program, running_runpools, service_environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture(autouse=True)
def daily(settings, sandbox):
    settings.DAILY_API_URL, settings.DAILY_API_KEY = sandbox.api_url, sandbox.api_key


def test_the_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as ended:
        call_command("runpools", "--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in ("--processes", "--rooms", "--once", "--pod-name", "--health-port"):
        assert text.count(option) >= 2  # in the usage and with its explanation
    assert "SIGTERM" in text and "DRAIN_TIMEOUT" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--processes", "-1"], "--processes: '-1' is not a whole number from 0 to 10000"),
        (["--processes", "two"], "--processes: 'two' is not a whole number"),
        (["--rooms", "1.5"], "--rooms: '1.5' is not a whole number"),
        (["--rooms", "10001"], "--rooms: '10001' is not a whole number from 0 to 10000"),
        (["--processes", "21"], "VOICE_AGENT_MAX_PROCESSES=20"),
        (["--health-port", "70000"], "port 70000"),
        (["--health-port", "http"], "--health-port"),
        (["--pod-name", ""], "--pod-name: '' is not a name"),
        (["--pod-name", "x" * 201], "--pod-name"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_its_name(arguments, named):
    with pytest.raises(CommandError, match=named):
        call_command("runpools", "--health-port", "0", *arguments)
    assert not Pod.objects.exists()


def test_a_port_for_probes_that_is_taken_is_refused_by_its_number():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} for probes.*choose another --health-port"):
            call_command("runpools", "--health-port", str(port))
    assert not Pod.objects.exists()


def test_without_a_key_it_does_not_start(settings):
    settings.DAILY_API_KEY = ""
    with pytest.raises(CommandError, match="DAILY_API_KEY is not set"):
        call_command("runpools")


def test_a_secret_of_ours_is_not_given_to_a_bot(settings):
    settings.VOICE_AGENT_ENV = ["OPENAI_API_KEY", "DAILY_API_KEY"]
    with pytest.raises(CommandError, match="VOICE_AGENT_ENV: DAILY_API_KEY is a secret"):
        call_command("runpools", "--health-port", "0")


def test_the_env_file_beside_the_bot_is_read_for_it_and_what_was_taken_is_said(settings, tmp_path, caplog):
    (tmp_path / ".env").write_text("CRM_URL=https://crm\nDAILY_API_KEY=the-key-of-daily\n")
    settings.VOICE_AGENT_BOT, settings.VOICE_AGENT_BOT_DIR, settings.VOICE_AGENT_ENV = "bot", tmp_path, ["!PATH"]
    environment = bot_environment()
    assert environment["CRM_URL"] == "https://crm"
    assert not {"DAILY_API_KEY", "PATH"} & environment.keys()
    assert f"event=bot_env_file file={tmp_path}/.env taken='CRM_URL' left_out='DAILY_API_KEY'" in caplog.text
    assert "the-key-of-daily" not in caplog.text


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("VOICE_AGENT_POOL_SIZE", "4", "VOICE_AGENT_POOL_SIZE=4 is not allowed: at most VOICE_AGENT_MAX_POOL_SIZE"),
        ("DAILY_ROOM_POOL_SIZE", "-1", "DAILY_ROOM_POOL_SIZE=-1 is not allowed: a whole number from 0"),
        ("VOICE_AGENT_START_METHOD", "fork", "VOICE_AGENT_START_METHOD=fork is not allowed: one of zygote, spawn"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_one_line(sandbox, tmp_path, variable, value, allowed):
    sizes = {"VOICE_AGENT_MAX_POOL_SIZE": "3"}
    with running_runpools(sandbox, tmp_path, **sizes | {variable: value}) as runpools:
        assert runpools.wait() != 0
        assert allowed in runpools.output()
        assert "Traceback" not in runpools.output()


def test_once_fills_the_rooms_makes_no_process_and_ends(sandbox, tmp_path):
    with running_runpools(sandbox, tmp_path, "--once", "--rooms", "3") as runpools:
        assert runpools.wait() == 0
        assert not runpools.descendants()
    assert Room.objects.available().filter(pod=None).count() == len(sandbox.rooms()) == 3
    assert not AgentProcess.objects.exists()
    assert not Pod.objects.current().exists()


def test_once_says_why_the_rooms_could_not_be_filled(pods, sandbox):
    sandbox.fault("503", "POST", "/rooms")
    pod = pods.start(room_target=1, max_processes=0)
    pods.forget(pod)
    assert not pod.run_until_filled(patience=1.0)
    assert "503" in pod.rooms.trouble


def test_a_database_without_its_tables_is_waited_for(sandbox, tmp_path):
    name = connection.settings_dict["NAME"]
    empty = f"{name}_empty"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {empty}")
        cursor.execute(f"CREATE DATABASE {empty}")
    environment = service_environment(sandbox, tmp_path)
    environment["DATABASE_URL"] = environment["DATABASE_URL"].replace(name, empty)
    runpools = Program([sys.executable, "manage.py", "runpools"], environment, tmp_path / "log")
    try:
        wait_until(
            lambda: runpools.process.poll() is not None or "waiting for `manage.py migrate`" in runpools.output()
        )
        assert runpools.process.poll() is None
        assert "Traceback" not in runpools.output()
    finally:
        runpools.end()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {empty} WITH (FORCE)")
