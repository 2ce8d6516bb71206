"""Who is woken: a claim concerns the pod of its process and the pod of its room, and nobody else."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from breezebuddy.management.commands.runpools import listener_parameters
from pools import notifications
from pools.notifications import Listener, SaidTogether, channel_of, wake_for, wake_supervisors
from tests.support.make import make_agent_process, make_pod, make_room
from tests.support.waiting import wait_until

CALLERS, WORDS = 8, 25


class Ears:
    """Listeners of three pods, and what each has heard."""

    def __init__(self) -> None:
        self.pods = [make_pod(f"pod-{letter}{'x' * 150}") for letter in "abc"]
        self._listeners = {pod.name[4]: Listener(listener_parameters()) for pod in self.pods}
        for pod in self.pods:
            self._listeners[pod.name[4]].listen(pod.name)
        self._heard: set[str] = set()

    def heard(self) -> set[str]:
        """Up to now: a marker is sent to all, and waited for."""
        heard: set[str] = set()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, 'marker')", [notifications.CHANNEL])
        for letter, listener in self._listeners.items():
            payloads: set[str] = set()
            while "marker" not in payloads:
                payloads |= listener.drain()
            heard |= {letter} if payloads - {"marker"} else set()
        return heard

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()


@pytest.fixture
def ears(transactional_db: None) -> Iterator[Ears]:
    ears = Ears()
    yield ears
    ears.close()


def test_only_the_owners_of_the_pair_are_woken(ears):
    process, room = make_agent_process(ears.pods[0]), make_room(pod=ears.pods[1])
    wake_for(process.pk, room.pk)
    assert ears.heard() == {"a", "b"}
    wake_for(process.pk, make_room(pod=None).pk)
    assert ears.heard() == {"a"}


def test_all_are_woken_for_a_session_that_waits(ears):
    wake_for(None, make_room(pod=ears.pods[0]).pk)
    assert ears.heard() == {"a", "b", "c"}
    wake_supervisors()
    assert ears.heard() == {"a", "b", "c"}


def test_a_channel_is_reckoned_alike_here_and_in_the_database(db):
    for name in ("pod", "पॉड", "x" * 200):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'breezebuddy_pod_' || left(md5(%s), 16)", [name])
            assert cursor.fetchone() == (channel_of(name),)


def test_what_many_say_at_once_is_all_said_in_fewer_words():
    said: list[set[tuple[int, int]]] = []
    first_word = threading.Event()

    def slowly(pairs: set[tuple[int, int]]) -> None:
        first_word.wait(20)  # until all others have come
        said.append(pairs)

    together = SaidTogether(slowly)
    speaker = threading.Thread(target=together.say, args=(0, 0))
    speaker.start()
    wait_until(lambda: together._speaking and not together._unsaid)
    for number in range(1, 10):
        together.say(number, number)
    first_word.set()
    speaker.join()
    assert said == [{(0, 0)}, {(number, number) for number in range(1, 10)}]


def test_nothing_stays_unsaid_however_the_words_fall_together():
    said: list[tuple[int, int]] = []
    together = SaidTogether(said.extend)
    barrier = threading.Barrier(CALLERS)

    def caller(number: int) -> None:
        barrier.wait()
        for word in range(WORDS):
            together.say(number, word)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    together.say(CALLERS, 0)  # whatever the last speaker has left to the next
    assert sorted(said) == sorted({(n, word) for n in range(CALLERS) for word in range(WORDS)} | {(CALLERS, 0)})


def test_one_whose_word_fails_leaves_the_others_theirs():
    said: list[Any] = []

    def fails_first(pairs: set[tuple[int, int]]) -> None:
        if not said:
            said.append("failed")
            raise OSError
        said.append(pairs)

    together = SaidTogether(fails_first)
    with pytest.raises(OSError):
        together.say(1, 1)
    together.say(2, 2)
    assert said == ["failed", {(2, 2)}]


def test_in_a_transaction_everybody_speaks_for_himself(ears):
    process, room = make_agent_process(ears.pods[0]), make_room(pod=ears.pods[0])
    with transaction.atomic():
        wake_for(process.pk, room.pk)
        transaction.set_rollback(True)
    assert ears.heard() == set()
    with transaction.atomic():
        wake_for(process.pk, room.pk)
    assert ears.heard() == {"a"}


def test_the_listener_connects_as_django_does(monkeypatch):
    options = {**connection.settings_dict["OPTIONS"], "target_session_attrs": "read-write", "keepalives_idle": 7}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    listener = Listener(listener_parameters())
    given = listener._connection.info.get_parameters()
    listener.close()
    assert (given["target_session_attrs"], given["keepalives_idle"]) == ("read-write", "7")
