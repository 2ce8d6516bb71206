"""Rooms and tokens of the sandbox over HTTP, as Daily's documentation and recorded answers have it."""

import time
from typing import Any

import pytest

from tests.support.daily_sandbox import Sandbox, running_sandbox

UNKNOWN_ROOM = {"error": "not-found", "info": "room nobody  not found"}


# --- rooms -------------------------------------------------------------------------------------------------


def test_a_room_from_create_to_delete(sandbox: Sandbox):
    exp = time.time() + 60.5
    wanted = {
        "name": "foo",
        "privacy": "private",
        "properties": {"exp": exp, "enable_chat": False, "geo": "ap-south-1"},
    }
    made = sandbox.call("POST", "/rooms", wanted)
    assert made.status_code == 200
    room = made.json()
    assert room["url"] == f"{sandbox.url}/foo"
    assert (room["name"], room["privacy"], room["api_created"]) == ("foo", "private", True)
    assert room["config"] == {"exp": exp, "geo": "ap-south-1"}
    assert sandbox.call("GET", "/rooms/foo").json() == room
    changed = sandbox.call("POST", "/rooms/foo", {"properties": {"geo": None}}).json()
    assert changed == {**room, "config": {"exp": exp}}
    deleted = sandbox.call("DELETE", "/rooms/foo")
    assert (deleted.status_code, deleted.json()) == (200, {"deleted": True, "name": "foo"})
    for method in ("GET", "DELETE"):
        gone = sandbox.call(method, "/rooms/foo")
        assert (gone.status_code, gone.json()) == (404, {"error": "not-found", "info": "room foo  not found"})


@pytest.mark.parametrize(
    ("method", "path", "body", "answer"),
    [
        ("GET", "/rooms/nobody", None, UNKNOWN_ROOM),
        ("POST", "/rooms/nobody", {}, UNKNOWN_ROOM),
        ("DELETE", "/rooms/nobody", None, UNKNOWN_ROOM),
        ("GET", "/rooms/nobody/presence", None, UNKNOWN_ROOM),
        ("POST", "/rooms/nobody/eject", {"ids": ["x"]}, {"error": "not-found", "info": "room nobody has no session"}),
    ],
)
def test_unknown_rooms_are_404(module_sandbox, method, path, body, answer):
    got = module_sandbox.call(method, path, body)
    assert (got.status_code, got.json()) == (404, answer)


def test_a_duplicate_is_refused_in_the_words_that_clients_look_for(sandbox: Sandbox):
    sandbox.create_room("foo")
    got = sandbox.call("POST", "/rooms", {"name": "foo"})
    assert got.status_code == 400
    assert got.json() == {"error": "invalid-request-error", "info": "a room named foo already exists"}


def test_an_exp_that_is_no_number_is_refused_in_dailys_words(sandbox: Sandbox):
    got = sandbox.call("POST", "/rooms", {"properties": {"exp": "not an int"}})
    info = "exp was 'not an int' but should be a number of seconds since the unix epoch"
    assert (got.status_code, got.json()) == (400, {"error": "invalid-request-error", "info": info})


def test_an_expired_room_is_404_everywhere_and_its_delete_says_so_once(sandbox: Sandbox):
    sandbox.create_room("foo", exp=time.time() + 60)
    sandbox.advance_clock(61)
    answer = {"error": "not-found", "info": "room foo  not found"}
    assert sandbox.call("GET", "/rooms").json() == {"total_count": 0, "data": []}
    for method, path in (("GET", "/rooms/foo"), ("POST", "/rooms/foo"), ("GET", "/rooms/foo/presence")):
        got = sandbox.call(method, path, {} if method == "POST" else None)
        assert (got.status_code, got.json()) == (404, answer)
    first, second = sandbox.call("DELETE", "/rooms/foo"), sandbox.call("DELETE", "/rooms/foo")
    assert (first.status_code, first.json()) == (404, {**answer, "deleted": True})
    assert (second.status_code, second.json()) == (404, answer)
    assert sandbox.counters()["rooms"] == {"created": 1, "live": 0, "expired": 1, "deleted": 0}


def test_paging_through_all_rooms_meets_each_once(sandbox: Sandbox):
    sandbox.call("POST", "/batch/rooms", {"rooms": [{"name": f"r{n}"} for n in range(250)]})
    names: list[str] = []
    cursor: dict[str, Any] = {}
    while page := sandbox.call("GET", "/rooms", params=cursor).json()["data"]:
        names += [room["name"] for room in page]
        cursor = {"starting_after": page[-1]["id"]}
    assert len(names) == 250
    assert set(names) == set(sandbox.rooms())
    oldest = sandbox.call("GET", "/rooms", params={"ending_before": "OLDEST", "limit": 2}).json()
    assert oldest["total_count"] == 250
    assert [room["name"] for room in oldest["data"]] == names[-2:]
    newer = sandbox.call("GET", "/rooms", params={"ending_before": oldest["data"][0]["id"], "limit": 3}).json()
    assert [room["name"] for room in newer["data"]] == names[-5:-2]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "many"},
        {"starting_after": "nobody"},
        {"starting_after": "a", "ending_before": "OLDEST"},
    ],
)
def test_wrong_paging_parameters_are_refused(module_sandbox, query):
    got = module_sandbox.call("GET", "/rooms", params=query)
    assert (got.status_code, got.json()["error"]) == (400, "invalid-request-error")


# --- batches -----------------------------------------------------------------------------------------------


def test_a_batch_is_answered_with_a_list_of_rooms(sandbox: Sandbox):
    wanted = [{"name": "a", "properties": {"enable_chat": True}}, {"privacy": "private"}]
    made = sandbox.call("POST", "/batch/rooms", {"rooms": wanted})
    assert made.status_code == 200
    first, second = made.json()
    assert (first["name"], first["config"]) == ("a", {"enable_chat": True})
    assert second["privacy"] == "private"
    assert sandbox.rooms() == ["a", second["name"]]


def test_a_batch_with_one_name_that_exists_makes_nothing(sandbox: Sandbox):
    sandbox.create_room("b")
    got = sandbox.call("POST", "/batch/rooms", {"rooms": [{"name": "a"}, {"name": "b"}]})
    assert got.status_code == 400
    assert got.json() == {"error": "invalid-request-error", "info": "a room named b already exists"}
    assert sandbox.rooms() == ["b"]


@pytest.mark.parametrize("field", ["room_names", "rooms"])
def test_a_batch_delete_takes_the_documented_and_the_older_field(sandbox: Sandbox, field):
    for name in "abc":
        sandbox.create_room(name)
    got = sandbox.call("DELETE", "/batch/rooms", {field: ["a", "c", "nobody"]})
    assert (got.status_code, got.json()) == (200, {"deleted_count": 2})
    assert sandbox.rooms() == ["b"]
    assert sandbox.counters()["rooms"] == {"created": 3, "live": 1, "expired": 0, "deleted": 2}


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST", {}),
        ("POST", {"rooms": "a"}),
        ("POST", {"rooms": [{}] * 1001}),
        ("DELETE", {}),
        ("DELETE", {"room_names": "a"}),
        ("DELETE", {"room_names": ["a"] * 1001}),
    ],
)
def test_malformed_batches_are_refused(module_sandbox, method, body):
    got = module_sandbox.call(method, "/batch/rooms", body)
    assert (got.status_code, got.json()["error"]) == (400, "invalid-request-error")


def test_the_room_quota_is_refused_with_the_words_that_clients_look_for():
    with running_sandbox(max_api_rooms=1) as sandbox:
        sandbox.create_room("a")
        got = sandbox.call("POST", "/rooms", {})
        assert (got.status_code, got.json()["error"]) == (400, "invalid-request-error")
        assert "rooms reached" in got.json()["info"]
        sandbox.set_limits(max_api_rooms=2)
        sandbox.create_room("b")


# --- meeting tokens ----------------------------------------------------------------------------------------


def test_a_token_is_minted_and_validated(sandbox: Sandbox):
    properties = {"room_name": "foo", "is_owner": True, "user_name": "host", "start_audio_off": True, "lang": "en"}
    made = sandbox.call("POST", "/meeting-tokens", {"properties": properties})
    assert (made.status_code, list(made.json())) == (200, ["token"])
    checked = sandbox.call("GET", f"/meeting-tokens/{made.json()['token']}")
    assert (checked.status_code, checked.json()) == (200, properties)


@pytest.mark.parametrize(
    ("body", "info"),
    [
        ({"invalid": "parameter"}, "unknown parameter 'invalid'"),
        ({"properties": {"invalid": "parameter"}}, "unknown parameter 'invalid'"),
        (
            {"properties": {"exp": "not an int"}},
            "exp was 'not an int' but should be a number of seconds since the unix epoch",
        ),
    ],
)
def test_wrong_token_properties_are_refused_in_dailys_words(module_sandbox, body, info):
    got = module_sandbox.call("POST", "/meeting-tokens", body)
    assert (got.status_code, got.json()) == (400, {"error": "invalid-request-error", "info": info})


def test_a_token_that_is_not_valid_is_400_and_ignore_nbf_works(sandbox: Sandbox):
    assert sandbox.call("GET", "/meeting-tokens/nonsense").json()["error"] == "invalid-request-error"
    now = time.time()
    early = sandbox.token("foo", nbf=now + 100, exp=now + 200)
    assert sandbox.call("GET", f"/meeting-tokens/{early}").status_code == 400
    assert sandbox.call("GET", f"/meeting-tokens/{early}", params={"ignoreNbf": "true"}).status_code == 200
    sandbox.advance_clock(150)
    assert sandbox.call("GET", f"/meeting-tokens/{early}").status_code == 200
    sandbox.advance_clock(100)
    assert sandbox.call("GET", f"/meeting-tokens/{early}").status_code == 400
