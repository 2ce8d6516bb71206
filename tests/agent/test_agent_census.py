"""`make bots`: which bots below a folder can be run, and what the others lack."""

import json
from pathlib import Path

from pools.agent.census import main

BOTS = {
    "good.py": "async def bot(runner_args): runner_args.room_url",
    "inside/package/__init__.py": "",
    "inside/package/agent.py": "from . import words\nasync def bot(runner_args): ...",
    "inside/package/words.py": "HELLO = 'hello'",
    "lacks-a-module.py": "import a_module_that_nobody_has\nasync def bot(runner_args): ...",
    "lacks_a_variable.py": "import os\nos.environ['NOBODY_HAS_THIS']\nasync def bot(runner_args): ...",
    "starts_a_thread.py": (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "async def bot(runner_args): ..."
    ),
    "telephony.py": "print('hello')\nasync def bot(runner_args): parse_telephony_websocket(runner_args.websocket)",
    "no_bot.py": "def bot(runner_args): raise SystemExit",
    ".hidden/bot.py": "async def bot(runner_args): ...",
}


def test_every_bot_below_a_folder_is_imported_by_itself_and_told_of(tmp_path: Path, capsys) -> None:
    for name, source in BOTS.items():
        path = tmp_path / "bots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    results = tmp_path / "results.json"
    assert main([str(tmp_path / "bots"), "--json", str(results)]) == 0
    found = {one["path"]: one for one in json.loads(results.read_text())}
    assert {path: (one["start"], one["missing"]) for path, one in found.items()} == {
        "good.py": ("fork", ""),
        "inside/package/agent.py": ("fork", ""),
        "lacks-a-module.py": ("-", "a_module_that_nobody_has"),
        "lacks_a_variable.py": ("-", "$NOBODY_HAS_THIS"),
        "starts_a_thread.py": ("spawn", ""),
        "telephony.py": ("refused", ""),
    }
    assert "2 threads" in found["starts_a_thread.py"]["threads"]
    assert found["good.py"]["transports"] == ["daily"]
    said = capsys.readouterr().out
    assert "6 bots: 4 import; of these 2 are forked, 1 spawned, 1 refused" in said
