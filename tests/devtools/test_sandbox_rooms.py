"""The sandbox's rooms, as state: expiry, pages, quota, batches. The clock stands still unless a test moves it."""

from typing import Any

import pytest

from devtools.sandbox.clock import Clock
from devtools.sandbox.errors import DailyError
from devtools.sandbox.rooms import PLAN_ROOMS, ZOMBIE_SECONDS, Room, RoomStore

NOW = 1_700_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: NOW)


@pytest.fixture
def rooms(clock: Clock) -> RoomStore:
    return RoomStore(clock)


def make(rooms: RoomStore, name: str, **properties: Any) -> Room:
    return rooms.create({"name": name, "properties": properties})


def refusal(rooms: RoomStore, wanted: object) -> str:
    with pytest.raises(DailyError) as refused:
        rooms.create(wanted)
    assert refused.value.status == 400
    assert refused.value.body["error"] == "invalid-request-error"
    return refused.value.body["info"]


# --- creating ----------------------------------------------------------------------------------------------


def test_a_room_without_a_name_gets_20_random_letters_and_digits(rooms):
    first, second = rooms.create({}), rooms.create({})
    assert first.name != second.name
    assert len(first.name) == 20
    assert first.name.isalnum()


def test_the_room_object_has_dailys_seven_fields(rooms):
    room = make(rooms, "foo", exp=NOW + 60, start_video_off=False, enable_screenshare=False, max_participants=200)
    shown = room.as_json("http://127.0.0.1:1")
    assert shown == {
        "id": room.id,
        "name": "foo",
        "api_created": True,
        "privacy": "public",
        "url": "http://127.0.0.1:1/foo",
        "created_at": "2023-11-14T22:13:20.000Z",
        "config": {"exp": NOW + 60, "enable_screenshare": False},
    }


def test_a_float_exp_is_kept_as_it_was_sent(rooms):
    assert make(rooms, "foo", exp=NOW + 0.25).config == {"exp": NOW + 0.25}


def test_properties_that_the_sandbox_does_not_know_are_kept(rooms):
    assert make(rooms, "foo", sip={"video": False}, brand_new=[1]).config == {"sip": {"video": False}, "brand_new": [1]}


@pytest.mark.parametrize(
    ("wanted", "info"),
    [
        ({"name": "a b"}, "a b contains invalid characters (room names can contain A-Z, a-z, 0-9, '-', and '_')"),
        ({"name": "foo\n"}, "foo\n contains invalid characters (room names can contain A-Z, a-z, 0-9, '-', and '_')"),
        ({"name": ""}, " contains invalid characters (room names can contain A-Z, a-z, 0-9, '-', and '_')"),
        ({"name": 7}, "7 contains invalid characters (room names can contain A-Z, a-z, 0-9, '-', and '_')"),
        ({"name": "x" * 129}, "room names can have at most 128 characters"),
        ({"privacy": "secret"}, "privacy was 'secret' but should be 'public' or 'private'"),
        ({"exp": NOW + 60}, "unknown parameter 'exp'"),
        ({"properties": []}, "properties should be an object"),
        (
            {"properties": {"exp": "not an int"}},
            "exp was 'not an int' but should be a number of seconds since the unix epoch",
        ),
        ({"properties": {"exp": True}}, "exp was 'True' but should be a number of seconds since the unix epoch"),
        ({"properties": {"exp": 1e300}}, "exp was '1e+300' but should be a number of seconds since the unix epoch"),
        ({"properties": {"nbf": []}}, "nbf was '[]' but should be a number of seconds since the unix epoch"),
        (
            {"properties": {"exp": int(NOW)}},
            "exp was '1700000000', which is in the past rather than in the future",
        ),
        ({"properties": {"eject_at_room_exp": 1}}, "eject_at_room_exp was '1' but should be a boolean"),
        ({"properties": {"max_participants": 0}}, "max_participants was '0' but should be a positive integer"),
        (
            {"properties": {"enable_recording": "tape"}},
            "enable_recording was 'tape' but should be one of cloud, cloud-audio-only, local, raw-tracks",
        ),
        ({"properties": {"brand_new": "x" * 9000}}, "properties should have at most 8192 characters as JSON"),
    ],
)
def test_wrong_parameters_are_refused_in_dailys_words(rooms, wanted, info):
    assert refusal(rooms, wanted) == info
    assert rooms.names() == []


def test_a_name_of_128_characters_is_allowed(rooms):
    assert make(rooms, "x" * 128).name == "x" * 128


def test_a_name_in_use_is_refused_and_free_again_after_a_delete(rooms):
    first = make(rooms, "foo")
    assert refusal(rooms, {"name": "foo"}) == "a room named foo already exists"
    rooms.delete("foo")
    assert make(rooms, "foo").id != first.id


def test_the_quota_counts_live_rooms_only(rooms, clock):
    rooms.max_api_rooms = 2
    make(rooms, "short", exp=NOW + 10)
    make(rooms, "long")
    assert "rooms reached" in refusal(rooms, {})
    clock.offset = 11
    make(rooms, "another")
    assert sorted(rooms.names()) == ["another", "long"]


def test_without_a_quota_of_its_own_the_domain_is_bounded_all_the_same(rooms):
    for start in range(0, PLAN_ROOMS, 1000):
        rooms.create_batch([{"name": f"r{start + n}"} for n in range(1000)])
    assert "rooms reached" in refusal(rooms, {})


# --- changing ----------------------------------------------------------------------------------------------


def test_an_update_merges_and_null_resets_to_the_default(rooms):
    make(rooms, "foo", exp=NOW + 60, enable_chat=True, geo="ap-south-1")
    room = rooms.update("foo", {"privacy": "private", "properties": {"exp": NOW + 90, "enable_chat": None}})
    assert room.config == {"exp": NOW + 90, "geo": "ap-south-1"}
    assert room.privacy == "private"


def test_a_refused_update_changes_nothing(rooms):
    make(rooms, "foo", enable_chat=True)
    with pytest.raises(DailyError):
        rooms.update("foo", {"privacy": "private", "properties": {"enable_chat": False, "exp": NOW - 1}})
    assert rooms.get("foo").privacy == "public"
    assert rooms.get("foo").config == {"enable_chat": True}


def test_an_extended_room_lives_until_its_new_exp(rooms, clock):
    make(rooms, "foo", exp=NOW + 10)
    rooms.update("foo", {"properties": {"exp": NOW + 20}})
    clock.offset = 15
    assert rooms.names() == ["foo"]
    clock.offset = 20
    assert rooms.names() == []
    assert rooms.counts() == {"created": 1, "live": 0, "expired": 1, "deleted": 0}


# --- expiring ----------------------------------------------------------------------------------------------


def test_an_expired_room_is_gone_at_its_very_second(rooms, clock):
    make(rooms, "foo", exp=NOW + 10)
    clock.offset = 9.9
    assert rooms.get("foo")
    clock.offset = 10
    with pytest.raises(DailyError) as refused:
        rooms.get("foo")
    assert refused.value.body == {"error": "not-found", "info": "room foo  not found"}
    assert rooms.page(100, None, None) == (0, [])


def test_deleting_an_expired_room_works_once(rooms, clock):
    make(rooms, "foo", exp=NOW + 10)
    clock.offset = 11
    assert rooms.delete("foo")[1] is True
    with pytest.raises(DailyError):
        rooms.delete("foo")
    assert rooms.counts() == {"created": 1, "live": 0, "expired": 1, "deleted": 0}


def test_the_name_of_an_expired_room_can_be_used_again(rooms, clock):
    make(rooms, "foo", exp=NOW + 10)
    clock.offset = 11
    make(rooms, "foo")
    assert rooms.delete("foo")[1] is False
    assert rooms.counts() == {"created": 2, "live": 0, "expired": 1, "deleted": 1}


def test_zombies_are_collected_after_a_while_unless_somebody_is_inside(rooms, clock):
    empty, occupied = make(rooms, "empty", exp=NOW + 10), make(rooms, "occupied", exp=NOW + 10)
    clock.offset = 10 + ZOMBIE_SECONDS - 1
    rooms.expire()
    rooms.collect({occupied.id})
    assert rooms.find("empty") == (empty, True)
    clock.offset += 1
    rooms.collect({occupied.id})
    assert rooms.find("empty") == (None, True)
    assert rooms.find("occupied") == (occupied, True)


# --- listing -----------------------------------------------------------------------------------------------


def test_pages_run_from_the_newest_to_the_oldest(rooms, clock):
    for second in range(7):
        clock.offset = second
        make(rooms, f"r{second}")
    total, first = rooms.page(3, None, None)
    assert total == 7
    assert [r.name for r in first] == ["r6", "r5", "r4"]
    _, second_page = rooms.page(3, first[-1].id, None)
    assert [r.name for r in second_page] == ["r3", "r2", "r1"]
    _, third = rooms.page(3, second_page[-1].id, None)
    assert [r.name for r in third] == ["r0"]
    assert rooms.page(3, third[-1].id, None) == (7, [])
    assert rooms.page(3, None, third[0].id)[1] == second_page
    assert [r.name for r in rooms.page(2, None, "OLDEST")[1]] == ["r1", "r0"]


def test_rooms_of_the_same_second_are_in_the_order_of_their_ids(rooms):
    made = [make(rooms, f"r{n}") for n in range(50)]
    listed = rooms.page(100, None, None)[1]
    assert listed == sorted(made, key=lambda room: room.id, reverse=True)
    halves = rooms.page(25, None, None)[1]
    assert halves + rooms.page(25, halves[-1].id, None)[1] == listed


def test_a_cursor_survives_the_expiry_of_its_room_but_not_its_deletion(rooms, clock):
    old = make(rooms, "old")
    clock.offset = 1
    cursor = make(rooms, "cursor", exp=NOW + 10)
    clock.offset = 11
    assert rooms.page(10, cursor.id, None) == (1, [old])
    rooms.delete("cursor")
    with pytest.raises(DailyError) as refused:
        rooms.page(10, cursor.id, None)
    assert refused.value.status == 400


# --- batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a b"},
        {"name": "taken"},
        {"name": "twin"},
        {"properties": {"exp": "soon"}},
        "foo",
        {"properties": {"recordings_bucket": {"bucket_name": "the eleventh"}}},
    ],
)
def test_one_bad_room_keeps_a_whole_batch_from_being_made(rooms, bad):
    make(rooms, "taken")
    good = [{"name": f"r{n}", "properties": {"recordings_bucket": {"bucket_name": str(n)}}} for n in range(10)]
    with pytest.raises(DailyError) as refused:
        rooms.create_batch([*good, {"name": "twin"}, bad])
    assert refused.value.status == 400
    assert rooms.names() == ["taken"]
    assert rooms.counts()["created"] == 1


def test_a_batch_beyond_the_quota_makes_no_room(rooms):
    rooms.max_api_rooms = 3
    make(rooms, "one")
    with pytest.raises(DailyError):
        rooms.create_batch([{}, {}, {}])
    assert rooms.names() == ["one"]
    assert len(rooms.create_batch([{}, {}])) == 2


def test_1000_rooms_fit_in_a_batch_and_1001_do_not(rooms):
    with pytest.raises(DailyError):
        rooms.create_batch([{}] * 1001)
    names = [room.name for room in rooms.create_batch([{}] * 1000)]
    with pytest.raises(DailyError):
        rooms.delete_batch([*names, "x"])
    assert len(rooms.delete_batch(names)) == 1000


def test_a_batch_delete_skips_unknown_expired_and_repeated_names(rooms, clock):
    make(rooms, "a")
    make(rooms, "b")
    make(rooms, "expired", exp=NOW + 1)
    clock.offset = 2
    assert [r.name for r in rooms.delete_batch(["a", "nobody", "expired", "a"])] == ["a"]
    assert rooms.names() == ["b"]


@pytest.mark.parametrize("names", [None, "a", {"a": 1}, ["a", 7]])
def test_a_malformed_batch_delete_deletes_nothing(rooms, names):
    make(rooms, "a")
    with pytest.raises(DailyError):
        rooms.delete_batch(names)
    assert rooms.names() == ["a"]
