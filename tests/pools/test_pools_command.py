"""`manage.py pools`: its verbs for people and for scripts."""

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
import threading
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pools import terminal
from pools.management.commands.pools import VERBS, Command
from pools.models import AgentProcess, DailyAccount, Pod, PoolOverride
from pools.terminal.screen import Verb
from tests.support.make import make_agent_process, make_daily_account, make_pod, make_room, make_session
from tests.support.programs import PROJECT


def pools(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """Exit code, answer and notes of `manage.py pools ARGUMENTS`."""
    try:
        call_command(Command(), *arguments)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def make_full_pod(name: str, agents: int = 2, rooms: int = 1) -> None:
    """Its rooms need no stored tokens."""
    if not DailyAccount.objects.exists():
        make_daily_account()
    pod = make_pod(name, agent_target=agents, room_target=rooms)
    for _ in range(agents):
        make_agent_process(pod)
    for _ in range(rooms):
        make_room(pod=pod)


def test_each_class_of_a_verb_is_a_verb_with_help(capsys):
    for module in pkgutil.iter_modules(terminal.__path__, "pools.terminal."):
        importlib.import_module(module.name)
    assert {type(verb) for verb in VERBS.values()} == set(Verb.__subclasses__())
    code, text, _ = pools(capsys, "--help")
    assert code == 0 and "Exit codes" in text
    summary = " ".join(text.split())
    for name, verb in VERBS.items():
        assert " ".join(f"{name} {verb.help}".split()) in summary
        code, text, _ = pools(capsys, name, "--help")
        assert code == 0 and (inspect.getdoc(verb) or "").splitlines()[0] in text


def test_a_verb_that_does_not_exist_is_refused(capsys):
    with pytest.raises(CommandError, match="invalid choice: 'fill'"):
        pools(capsys, "fill")


@pytest.mark.django_db
def test_status_is_a_table_and_ends_with_0_while_all_is_well(capsys):
    make_full_pod("pod-a")
    make_full_pod("pod-b")
    code, text, _ = pools(capsys, "status")
    assert code == 0
    assert text.startswith("Pools: healthy")
    assert ["agent", "processes", "4", "4", "6", "0", "0"] in [line.split() for line in text.splitlines()]
    assert ["rooms", "2", "2", "10", "0", "0"] in [line.split() for line in text.splitlines()]
    assert "pod-a" in text and "pod-b" in text


@pytest.mark.django_db
def test_status_says_what_is_wrong_and_ends_with_1(capsys):
    make_pod("pod-a", agent_trouble="import failed:\x1b[31m no module"), make_pod("pod-b", silent_for=60)
    code, text, _ = pools(capsys, "status")
    assert code == 1
    assert text.startswith("Pools: degraded")
    assert "pod pod-a: import failed: [31m no module" in text, "control characters of others steer no terminal"
    assert "pod pod-b is silent: no heartbeat for 60 s" in text
    assert "no room available" in text


@pytest.mark.django_db
def test_status_for_programs_is_one_json_object(capsys):
    make_full_pod("pod-a", agents=1, rooms=2)
    code, text, _ = pools(capsys, "status", "--json")
    answer = json.loads(text)
    assert (code, answer["status"], answer["reasons"]) == (0, "healthy", [])
    assert answer["agent_processes"] == {
        "pool_size": 1,
        "available": 1,
        "in_use": 0,
        "warming": 0,
        "max_pool_size": 3,
    }
    assert answer["rooms"]["available"] == 2
    assert [pod["name"] for pod in answer["pods"]] == ["pod-a"]


@pytest.mark.django_db
def test_without_a_pod_the_status_says_so(capsys):
    code, text, _ = pools(capsys, "status")
    assert code == 1 and "No pod runs." in text


@pytest.mark.django_db
def test_waiting_for_pools_that_are_full_returns_at_once(capsys):
    make_full_pod("pod-a")
    code, text, _ = pools(capsys, "wait", "--ready", "--timeout", "0")
    assert code == 0 and text.startswith("Ready after")


@pytest.mark.django_db
def test_pools_that_do_not_fill_end_the_wait_with_what_is_missing(capsys):
    make_full_pod("pod-a")
    AgentProcess.objects.filter(pk=AgentProcess.objects.earliest("pk").pk).update(status="warming", available_at=None)
    code, _, notes = pools(capsys, "wait", "--ready", "--timeout", "0")
    assert code == 1
    assert "pod pod-a: agent processes 1 of 2 (1 warming)" in notes
    assert "rooms" not in notes


@pytest.mark.django_db
@pytest.mark.parametrize("values", [{"draining": True}, {"silent_for": 60}])
def test_pods_that_take_no_sessions_are_not_ready(values, capsys):
    make_pod("pod-a", agent_target=0, room_target=0, **values)
    code, _, notes = pools(capsys, "wait", "--ready", "--timeout", "0")
    assert code == 1 and "0 of 1 pods take sessions" in notes


@pytest.mark.django_db
def test_pools_that_are_to_keep_nothing_are_not_ready(capsys):
    make_pod("pod-a", agent_target=0, room_target=0, agent_target_why="paused by ann")
    code, _, notes = pools(capsys, "wait", "--ready", "--timeout", "0")
    assert code == 1
    assert "agent processes 0 of 0: none are to be kept (paused by ann)" in notes
    assert "rooms 0 of 0: none are to be kept (configured)" in notes


@pytest.mark.django_db
def test_pods_that_have_not_come_yet_are_waited_for(capsys):
    make_full_pod("pod-a")
    code, _, notes = pools(capsys, "wait", "--ready", "--pods", "2", "--timeout", "0")
    assert code == 1 and "1 of 2 pods take sessions" in notes


def test_the_wait_ends_when_the_last_process_is_available(transactional_db, capsys):
    make_full_pod("pod-a")
    last = AgentProcess.objects.first()
    assert last is not None
    AgentProcess.objects.filter(pk=last.pk).update(status="warming", available_at=None)

    def become_available() -> None:
        last.become_available()
        connection.close()

    helper = threading.Thread(target=become_available)
    helper.start()
    code, text, _ = pools(capsys, "wait", "--ready", "--timeout", "20")
    helper.join()
    assert code == 0 and "Ready" in text


@pytest.mark.django_db
def test_a_pod_is_drained_and_brought_back(capsys):
    make_pod("pod-a")
    code, text, notes = pools(capsys, "drain", "pod-a")
    assert code == 0 and "manage.py pools uncordon pod-a" in text
    assert "pod-a was the only pod in service: callers get 503" in notes
    assert Pod.objects.drained_by_operator().get().drained_by.partition("@")[0]
    assert pools(capsys, "drain", "pod-a")[0] == 1
    code, text, _ = pools(capsys, "status")
    assert "out of service" in text and "every live pod is draining" in text
    assert pools(capsys, "uncordon", "pod-a")[0] == 0
    assert Pod.objects.taking().exists()
    assert pools(capsys, "uncordon", "pod-a")[2].strip() == "pod-a is in service."


@pytest.mark.django_db
def test_draining_can_wait_for_the_last_call(capsys):
    process = make_agent_process(make_pod("pod-a"), "in_use")
    code, _, notes = pools(capsys, "drain", "pod-a", "--wait", "--timeout", "0")
    assert code == 1 and "1 agent process after 0 s" in notes
    process.end("over")
    pools(capsys, "uncordon", "pod-a")
    assert pools(capsys, "drain", "pod-a", "--wait")[0] == 0


@pytest.mark.django_db
@pytest.mark.parametrize("verb", [("drain",), ("uncordon",), ("recycle", "both", "--pod")])
def test_a_pod_that_does_not_run_is_refused_and_those_that_do_are_named(verb, capsys):
    make_pod("pod-a")
    with pytest.raises(CommandError, match="no pod is named 'pod-7'; running: pod-a"):
        pools(capsys, *verb, "pod-7")


@pytest.mark.django_db
def test_the_stock_of_a_pod_is_recycled(capsys):
    make_full_pod("pod-a")
    make_full_pod("pod-b")
    code, text, _ = pools(capsys, "recycle", "both", "--pod", "pod-a")
    assert code == 0 and text.splitlines() == ["To be replaced: 2 agent processes.", "To be replaced: 1 room."]
    assert set(AgentProcess.objects.filter(retiring=True).values_list("pod__name", flat=True)) == {"pod-a"}


@pytest.mark.django_db
def test_a_pool_is_paused_and_resumed(capsys):
    make_full_pod("pod-a")
    code, text, _ = pools(capsys, "pause", "both", "--minutes", "30", "--why", "limits")
    assert code == 0 and "pause processes on all pods" in text and "(limits)" in text and "pools resume both" in text
    assert PoolOverride.objects.in_force().pauses().count() == 2
    code, _, notes = pools(capsys, "resume", "rooms", "--pod", "pod-a")
    assert code == 1 and "is paused on all pods" in notes
    assert pools(capsys, "resume", "both")[1].strip() == "2 pauses taken back."
    assert pools(capsys, "resume", "both")[0] == 0, "nothing is paused, as was wanted"


@pytest.mark.django_db
def test_a_second_pause_says_that_one_is_in_force(capsys):
    pools(capsys, "pause", "rooms", "--why", "limits")
    code, _, notes = pools(capsys, "pause", "rooms")
    assert code == 0 and "In force already: pause rooms on all pods, by" in notes and "(limits)" in notes


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", ["99999999999", "inf", "nan", "-5", "0"])
def test_a_time_that_no_override_can_have_is_a_wrong_call(minutes, capsys):
    with pytest.raises(CommandError, match=r"too long: at most a year|not a number of minutes|expected one argument"):
        pools(capsys, "pause", "rooms", "--minutes", minutes)
    assert not PoolOverride.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [("size",), ("simulate",), ("reserve",), ("drain", "nope")])
def test_a_wrong_call_ends_with_2(wrong, capsys):
    with pytest.raises(CommandError) as refused:
        pools(capsys, *wrong)
    assert refused.value.returncode == 2


@pytest.mark.django_db
def test_overrides_are_listed_with_the_way_back_and_say_why_a_pool_is_empty(capsys):
    assert "No override is in force" in pools(capsys, "overrides")[1]
    make_pod("pod-a", agent_target=0, agent_target_why="ordered by ann (saving)", room_target=0)
    pools(capsys, "resize", "processes", "0", "--why", "saving")
    pools(capsys, "pause", "rooms", "--pod", "pod-a", "--minutes", "30")
    for verb in ("overrides", "status"):
        code, text, _ = pools(capsys, verb)
        assert "size processes 0 on all pods" in text and "pools resize processes configured" in text
        assert "pause rooms on pod-a" in text and "pools resume rooms --pod pod-a" in text
    assert code == 1 and "pod pod-a: the pool of agent processes is set to hold none, by " in text
    assert "pod-a: processes 0, ordered by ann (saving)" in text
    assert [override["pool"] for override in json.loads(pools(capsys, "overrides", "--json")[1])] == ["agents", "rooms"]


@pytest.mark.django_db
def test_a_pool_is_resized_and_goes_back_to_its_configured_size(capsys):
    make_full_pod("pod-a")
    assert pools(capsys, "resize", "processes", "1", "--pod", "pod-a")[1].startswith("Set: size processes 1 on pod-a")
    code, _, notes = pools(capsys, "resize", "processes", "9")
    assert code == 1 and "can hold 3 agent processes, not 9" in notes
    assert pools(capsys, "resize", "processes", "configured")[1].strip() == "1 override taken back."
    with pytest.raises(CommandError, match="neither a whole number nor the word configured"):
        pools(capsys, "resize", "processes", "many")


def test_a_database_that_does_not_answer_ends_with_3():
    environment = os.environ | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    command = [sys.executable, "manage.py", "pools", "status"]
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "DATABASE_URL (127.0.0.1:1) does not answer" in ended.stderr


@pytest.mark.django_db
class TestExplain:
    def test_it_tells_why_a_start_was_slow(self, capsys):
        seen = {"pods": 1, "agent_target": 3, "agents_warming": 2}
        session = make_session("waiting", start_kind="partial", agent_miss="burst", circumstances=seen)
        code, text, _ = pools(capsys, "explain", str(session.uuid))
        assert code == 0
        assert "miss: process pool empty: 0 starts in the 2 s before, 2 warming of a target of 3" in text

    def test_it_finds_the_latest_session_of_a_lead(self, capsys):
        lead = uuid.uuid4()
        make_session(reference=lead), (latest := make_session(reference=lead))
        code, text, _ = pools(capsys, "explain", str(lead), "--json")
        assert code == 0
        assert json.loads(text)["session_id"] == str(latest.uuid)

    def test_the_beginning_of_an_id_is_enough_if_only_one_begins_so(self, capsys):
        one, other = (uuid.UUID(f"3f6f4769-0000-4000-8000-00000000000{digit}") for digit in (1, 2))
        session = make_session(uuid=one)
        assert f"Session {session.uuid}" in pools(capsys, "explain", "3f6f4769")[1]
        make_session(uuid=uuid.uuid4(), reference=other)
        code, _, notes = pools(capsys, "explain", "3f6f4769")
        assert code == 1 and "Several sessions begin with 3f6f4769" in notes and str(one) in notes
        with pytest.raises(CommandError, match="no id and no beginning of one"):
            pools(capsys, "explain", "latest")

    def test_what_is_unknown_is_said(self, capsys):
        code, _, notes = pools(capsys, "explain", str(uuid.uuid4()))
        assert code == 1 and "No session" in notes and "has never connected" in notes
