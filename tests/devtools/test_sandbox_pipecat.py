"""Pipecat's own DailyRESTHelper works against the sandbox. It runs in a process of its own: on Python 3.11
Pipecat replaces asyncio.wait_for for the whole process that imports it."""

import json
import os
import subprocess
import sys

from tests.support.daily_sandbox import Sandbox

CODE = """
import asyncio, json, os, time
import aiohttp
from pipecat.transports.daily.utils import (
    DailyMeetingTokenParams, DailyMeetingTokenProperties, DailyRESTHelper, DailyRoomParams, DailyRoomProperties,
)

async def main():
    async with aiohttp.ClientSession() as session:
        helper = DailyRESTHelper(
            daily_api_key=os.environ["KEY"], daily_api_url=os.environ["URL"], aiohttp_session=session
        )
        properties = DailyRoomProperties(
            exp=time.time() + 600.5, eject_at_room_exp=True, geo="ap-south-1", enforce_unique_user_ids=True
        )
        room = await helper.create_room(DailyRoomParams(name="pipecat-1", privacy="private", properties=properties))
        unnamed = await helper.create_room(DailyRoomParams())
        found = await helper.get_room_from_url(room.url)
        owner = await helper.get_token(room.url, 300)
        wanted = DailyMeetingTokenParams(properties=DailyMeetingTokenProperties(user_id="u1", user_name="Guest"))
        guest = await helper.get_token(room.url, 300, eject_at_token_exp=True, owner=False, params=wanted)
        deleted = await helper.delete_room_by_url(unnamed.url)
        again = await helper.delete_room_by_url(unnamed.url)
        try:
            await helper.get_room_from_url(unnamed.url)
            missing = "found"
        except Exception as error:
            missing = str(error)
        print(json.dumps({
            "url": room.url, "same": found == room, "config": room.config.model_dump(exclude_none=True),
            "name": helper.get_name_from_url(room.url), "owner": owner, "guest": guest,
            "deleted": [deleted, again], "unnamed": unnamed.name, "missing": missing,
        }))

asyncio.run(main())
"""


def test_pipecats_helper_creates_finds_and_deletes_rooms_and_gets_tokens(sandbox: Sandbox):
    environment = {**os.environ, "KEY": sandbox.api_key, "URL": sandbox.api_url}
    process = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=90)
    assert process.returncode == 0, process.stderr
    got = json.loads(process.stdout.splitlines()[-1])
    assert got["url"] == f"{sandbox.url}/pipecat-1"
    assert got["name"] == "pipecat-1"
    assert got["same"] is True
    assert got["config"]["eject_at_room_exp"] is True
    assert (got["config"]["geo"], got["config"]["enforce_unique_user_ids"]) == ("ap-south-1", True)
    assert got["deleted"] == [True, True]
    assert got["missing"] == f"Room not found: {got['unnamed']}"
    assert sandbox.rooms() == ["pipecat-1"]
    bot, guest = sandbox.join("pipecat-1", got["owner"]), sandbox.join("pipecat-1", got["guest"])
    assert sandbox.participants("pipecat-1") == [
        {"id": bot, "user_id": None, "user_name": None, "owner": True},
        {"id": guest, "user_id": "u1", "user_name": "Guest", "owner": False},
    ]
