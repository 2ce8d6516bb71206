"""What the benchmarks write into the database themselves."""

import pytest

from pools.models import AgentProcess, Pod, Room, VoiceSession
from tests.support.make import make_agent_process, make_pod, make_room
from tests.support.programs import database_url
from trials.bench.live_rows import live_rows
from trials.rows import Rows

TABLES = (VoiceSession, AgentProcess, Room, Pod)


@pytest.fixture
def rows(transactional_db):
    with Rows(database_url()) as rows:
        yield rows


def test_the_rows_of_a_busy_service_are_gone_afterwards_and_others_stay(rows):
    make_agent_process(make_pod()), make_room()
    with live_rows(rows, pods=2, calls=6, stock=4):
        assert [table.objects.count() for table in TABLES] == [6, 11, 11, 3]
    assert [table.objects.count() for table in TABLES] == [0, 1, 1, 1]
