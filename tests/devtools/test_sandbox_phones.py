"""Dial-out in the sandbox: what phones do, who is told of it, what is refused. Its clock is moved, never waited for."""

import pytest

from tests.support.daily_sandbox import Sandbox, SandboxRefused, running_sandbox

NUMBER = "+919876543210"


def room_with_bot(sandbox: Sandbox, name: str = "foo", **properties: object) -> str:
    """A room that may dial out, with an owner in it."""
    sandbox.create_room(name, privacy="private", **{"enable_dialout": True, **properties})
    sandbox.join(name, sandbox.token(name, is_owner=True, user_id="bot"))
    return name


def dial(sandbox: Sandbox, room: str, number: str = NUMBER, **more: object) -> str:
    answer = sandbox.call("POST", f"/rooms/{room}/dialOut/start", {"phoneNumber": number, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["ok"] == "true"
    return answer.json()["sessionId"]


def events(sandbox: Sandbox) -> list[str]:
    (only,) = sandbox.dials()
    return only["events"]


def test_a_phone_rings_is_answered_and_hangs_up(sandbox: Sandbox):
    room = room_with_bot(sandbox)
    sandbox.set_phone(NUMBER, behaviour="answer", after_s=5, talk_s=20)
    id = dial(sandbox, room, userId="phone-1", displayName="Asha")
    assert events(sandbox) == ["connected"]
    bot, phone = sandbox.participants(room)
    assert phone == {"id": id, "user_id": "phone-1", "user_name": "Asha", "owner": False}
    sandbox.advance_clock(5)
    assert events(sandbox) == ["connected", "answered"]
    sandbox.advance_clock(19)
    assert len(sandbox.participants(room)) == 2
    sandbox.advance_clock(1)
    assert events(sandbox) == ["connected", "answered", "stopped"]
    assert [person["id"] for person in sandbox.participants(room)] == [bot["id"]]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("busy", ["error"]),
        ("fail", ["error"]),
        ("unreachable", ["error"]),
        ("no_answer", ["connected", "error"]),
        ("rings_out", ["connected", "stopped"]),
    ],
)
def test_a_phone_that_is_not_answered(sandbox: Sandbox, behaviour, expected):
    room = room_with_bot(sandbox)
    sandbox.set_phone(behaviour=behaviour, after_s=30)
    dial(sandbox, room)
    sandbox.advance_clock(29)
    assert events(sandbox) == expected[:-1]
    sandbox.advance_clock(1)
    assert events(sandbox) == expected
    assert len(sandbox.participants(room)) == 1


def test_a_script_is_one_phones_and_the_usual_one_all_others(sandbox: Sandbox):
    room = room_with_bot(sandbox)
    sandbox.set_phone(behaviour="busy", after_s=0)
    sandbox.set_phone(NUMBER, behaviour="answer", after_s=0, talk_s=None)
    dial(sandbox, room)
    dial(sandbox, room, "+14155550100")
    answered, busy = sandbox.dials()
    assert answered["events"] == ["connected", "answered"] and not answered["over"]
    assert busy["events"] == ["error"] and busy["over"]
    counts = sandbox.counters()["phones"]
    assert (counts["dialled"], counts["current"], counts["twice"]) == (2, 1, 0)


def test_a_phone_that_is_left_alone_hangs_up(sandbox: Sandbox):
    room = room_with_bot(sandbox)
    sandbox.set_phone(after_s=0, talk_s=None)
    dial(sandbox, room)
    (bot, _) = sandbox.participants(room)
    sandbox.leave(room, bot["id"])
    assert sandbox.participants(room) == []
    assert events(sandbox)[-1] == "stopped"


def test_a_call_ends_with_its_room_and_when_it_is_stopped(sandbox: Sandbox):
    for name in ("deleted", "stopped"):
        room_with_bot(sandbox, name)
    sandbox.set_phone(after_s=0, talk_s=None)
    dial(sandbox, "deleted")
    id = dial(sandbox, "stopped", "+14155550100")
    assert sandbox.call("DELETE", "/rooms/deleted").status_code == 200
    assert sandbox.call("POST", "/rooms/stopped/dialOut/stop", {"sessionId": id}).status_code == 200
    assert [one["over"] for one in sandbox.dials()] == [True, True]
    again = sandbox.call("POST", "/rooms/stopped/dialOut/stop", {"sessionId": id})
    assert again.status_code == 404


def test_what_cannot_be_dialled_is_refused_and_rings_nowhere(sandbox: Sandbox):
    sandbox.set_limits(enabled=False)
    room_with_bot(sandbox, "without", enable_dialout=False)
    room = room_with_bot(sandbox, "foo")
    sandbox.create_room("empty", enable_dialout=True)
    good = {"phoneNumber": NUMBER}
    for name, status in (("without", 400), ("nowhere", 404), ("empty", 404)):
        assert sandbox.call("POST", f"/rooms/{name}/dialOut/start", good).status_code == status, name
    for body in (
        {},
        {"phoneNumber": "98765"},
        {**good, "sipUri": "sip:a@b.c"},
        {"sipUri": "tel:1"},
        {**good, "number": "1"},
        {"phoneNumber": 1},
    ):
        assert sandbox.call("POST", f"/rooms/{room}/dialOut/start", body).status_code == 400, body
    assert sandbox.dials() == []


def test_scripts_are_checked(sandbox: Sandbox):
    for script in ({"behaviour": "sing"}, {"after_s": -1}, {"talk_s": "long"}, {"until": 1}):
        with pytest.raises(SandboxRefused, match="400"):
            sandbox.set_phone(**script)


def test_dialling_has_a_limit_of_its_own(sandbox: Sandbox):
    room = room_with_bot(sandbox)
    answers = [
        sandbox.call("POST", f"/rooms/{room}/dialOut/start", {"phoneNumber": f"+1415555010{n}"}) for n in range(6)
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert sandbox.call("GET", "/rooms").status_code == 200
    sandbox.advance_clock(5)
    dial(sandbox, room)


def test_the_limit_can_be_raised_for_a_load_run():
    with running_sandbox() as sandbox:
        sandbox.set_limits(groups={"start": {"limit": 50, "seconds": 5}})
        room = room_with_bot(sandbox)
        for number in range(20):
            dial(sandbox, room, f"+14155550{number:03}")


def test_a_call_whose_answer_is_lost_rings_all_the_same(sandbox: Sandbox):
    room = room_with_bot(sandbox)
    sandbox.fault("reset", "POST", "/rooms/*/dialOut/start", times=1)
    with pytest.raises(OSError):
        sandbox.call("POST", f"/rooms/{room}/dialOut/start", {"phoneNumber": NUMBER})
    assert events(sandbox) == ["connected"]
