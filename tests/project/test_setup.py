"""`sh setup.sh`, with a virtualenv whose Python and uv only write down what they are asked for."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


class Setup:
    def __init__(self, directory: Path) -> None:
        self._calls = directory / "calls"
        self.venv = directory / "venv"
        (self.venv / "bin").mkdir(parents=True)
        for name in ("python", "uv"):
            program = self.venv / "bin" / name
            program.write_text(f'#!/bin/sh\necho {name} "$@" >>"{self._calls}"\n')
            program.chmod(0o755)

    def run(self, **variables: str) -> list[str]:
        """What uv was asked to install."""
        self._calls.write_text("")
        environment = {"PATH": os.environ["PATH"], "VENV": str(self.venv), **variables}
        subprocess.run(["sh", "setup.sh"], cwd=ROOT, env=environment, check=True, timeout=60, capture_output=True)
        asked = (line.split() for line in self._calls.read_text().splitlines() if line.startswith("uv pip install"))
        return [words[words.index("-r") + 1] for words in asked]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_a_bots_own_packages_are_installed_once_and_again_when_they_or_ours_have_changed(setup, tmp_path):
    bot = tmp_path / "a bot"
    bot.mkdir()
    file = bot / "requirements.txt"
    file.write_text("humanize\n")
    place = {"VOICE_AGENT_BOT_DIR": str(bot)}
    assert setup.run() == ["requirements.lock"]
    assert setup.run(**place)
    assert setup.run(**place) == []
    file.write_text("humanize==4.0\n")
    assert setup.run(VOICE_AGENT_BOT=str(bot / "bot.py"))
    assert setup.run(**place) == []
    (setup.venv / "requirements.lock.installed").write_text("of an earlier release")
    assert len(setup.run(**place)) == 2
    constraints = (setup.venv / "constraints.txt").read_text().splitlines()
    assert any(line.startswith("pipecat-ai==") for line in constraints)
    assert not any("--hash" in line or line.endswith("\\") for line in constraints)


def test_the_further_providers_are_kept_once_they_were_asked_for(setup):
    assert setup.run() == ["requirements.lock"]
    assert setup.run(PROVIDERS="1") == ["requirements-providers.lock"]
    assert setup.run() == []
    (setup.venv / "requirements-providers.lock.installed").write_text("of an earlier release")
    assert setup.run() == ["requirements-providers.lock"]


def test_the_projects_own_requirements_are_not_a_bots(setup):
    setup.run()
    assert setup.run(VOICE_AGENT_BOT_DIR=str(ROOT)) == []
