"""Checks of images, manifests and upgrades; `make check-deploy` runs all of them.

files: the Dockerfile (hadolint), compose.yaml (its schema), Prometheus' configuration and the alerts (promtool)
manifests: rendered (kubectl), held to the schemas of Kubernetes and its operators, to policies (Checkov), to our rules
images: built by podman, looked at, and run as compose.yaml says, a call included (root; five minutes, 6 GB)
rules: write the Prometheus Operator's copy of the alerts anew
rehearsal: a roll-out as the manifests order it, under load, with the real processes (two minutes)
upgrade: today's migrations on a filled, busy database of an earlier release that goes on serving (two minutes)
"""

import argparse
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trials.console import say
from trials.ending import EXIT_STATUS, conclude
from trials.report import Report
from trials.shipping import base_image, images, linters, manifests, operators, policies, promtool, upgrade
from trials.shipping.compose import Compose, NotRead
from trials.shipping.containers import Containers
from trials.shipping.engine import EngineFailed, NoEngine, engine
from trials.shipping.rehearsal import rehearse
from trials.shipping.rules import rule_of
from trials.shipping.virtualenv import NotInstalled

PROJECT = Path(__file__).resolve().parent.parent.parent
BASE, EXAMPLE = "deploy/kubernetes", "deploy/example"
KUSTOMIZATIONS = (BASE, f"{BASE}/canary", f"{BASE}/monitoring", f"{BASE}/autoscaling", EXAMPLE)
ALERTS = PROJECT / "deploy/prometheus/alerts.yml"
RULE = PROJECT / "deploy/kubernetes/monitoring/prometheus-rule.yaml"


@dataclass(frozen=True)
class Problems:
    found: list[str]

    @property
    def holds(self) -> bool:
        return not self.found

    def in_words(self) -> str:
        return "\n".join(f"PROBLEM {problem}" for problem in self.found) or "no problem found"

    def as_json(self) -> dict[str, Any]:
        return {"problems": self.found}


def check_images(work: Path | None) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="shipping-", dir=work) as directory:
        place = Path(directory)
        try:
            with engine(place / "store") as podman:
                base = base_image.make(podman, PROJECT / "Dockerfile", place)
                say(f"{base}: made by debootstrap")
                problems = []
                for target in images.TRIES:
                    built = images.build(podman, PROJECT, target, say)
                    problems += images.problems_of(podman, base, target, built, say)
                chosen = {name: secrets.token_hex(32) for name in ("SECRET_KEY", "POSTGRES_PASSWORD")}
                compose = Compose(PROJECT / "compose.yaml", chosen)
                return problems + Containers(podman, compose, base, place, say).live()
        except (NoEngine, EngineFailed, NotRead) as error:
            return [str(error)]


def check_files() -> list[str]:
    problems = linters.dockerfile_problems(PROJECT / "Dockerfile")
    problems += linters.compose_problems(PROJECT / "compose.yaml")
    say("the Dockerfile and compose.yaml are read")
    try:
        return problems + promtool.problems(PROJECT, say)
    except promtool.NoPromtool as error:
        return [*problems, str(error)]


def check_manifests() -> list[str]:
    problems = []
    rendered: dict[str, list[manifests.Manifest]] = {}
    for directory in KUSTOMIZATIONS:
        try:
            rendered[directory] = found = manifests.rendered(PROJECT / directory)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            return [f"{directory}: {error}"]
        problems += manifests.schema_problems(found) + operators.schema_problems(found)
        problems += operators.reference_problems(found, rendered[BASE])
        say(f"{directory}: {len(found)} manifests rendered, and held to their schemas")
    for directory in (BASE, EXAMPLE):
        problems += manifests.rule_problems(rendered[directory])
    try:
        return problems + policies.problems(PROJECT, rendered, say)
    except NotInstalled as error:
        return [*problems, str(error)]


def main(name: str, words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m trials {name}",
        description=__doc__,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["files", "images", "manifests", "rehearsal", "rules", "upgrade"])
    parser.add_argument(
        "--work", type=Path, help="images: where they are kept meanwhile (6 GB; default: the system's place)"
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        default=upgrade.EARLIER_RELEASE,
        metavar="REV",
        help="upgrade: the earlier release, in git",
    )
    parser.add_argument(
        "--sessions", type=int, default=upgrade.SESSIONS, help="upgrade: ended sessions in the database (%(default)s)"
    )
    options = parser.parse_args(words)
    if options.what == "rules":
        RULE.write_text(rule_of(ALERTS))
        return 0
    report = Report(f"{name} {options.what}")

    def run() -> None:
        report.result = Problems(_checked(options))

    return conclude(report, run)


def _checked(options: argparse.Namespace) -> list[str]:
    match options.what:
        case "files":
            return check_files()
        case "images":
            return check_images(options.work)
        case "manifests":
            return check_manifests()
        case "upgrade":
            return upgrade.upgrade(PROJECT, options.earlier, options.sessions, say)
        case _:
            return rehearse(PROJECT, say)
