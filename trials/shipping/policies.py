"""Runs Checkov's policies on the rendered manifests and the Dockerfile.

It brings a hundred packages of its own and so lives in a virtualenv of its own, below .data. What it is not asked for
stands in checkov.yaml, with the reasons.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from trials.shipping.manifests import Manifest
from trials.shipping.virtualenv import installed

HERE = Path(__file__).resolve().parent
OPTIONS = ("--compact", "--quiet", "--skip-download", "--soft-fail", "--output", "json")
KINDS = {"kubernetes", "dockerfile"}


def problems(project: Path, rendered: Mapping[str, list[Manifest]], say: Callable[[str], None]) -> list[str]:
    """Return violations. `rendered`: manifests by the directory of their kustomization. Raises NotInstalled."""
    checkov = installed(HERE / "checkov.lock", project / ".data" / "checkov", say) / "checkov"
    with tempfile.TemporaryDirectory(prefix="policies-") as directory:
        for name, manifests in rendered.items():
            (Path(directory) / f"{name.replace('/', '-')}.yaml").write_text(yaml.safe_dump_all(manifests))
        shutil.copyfile(project / "Dockerfile", Path(directory) / "Dockerfile")
        done = subprocess.run(
            [checkov, *OPTIONS, "--config-file", HERE / "checkov.yaml", "--directory", directory],
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return [f"checkov ended with {done.returncode}: {done.stderr[-500:]}"]
    return _failed(json.loads(done.stdout), say)


def _failed(reports: list[Manifest], say: Callable[[str], None]) -> list[str]:
    found = []
    for report in reports:
        kind, summary = report["check_type"], report["summary"]
        say(f"checkov, {kind}: {summary['passed']} checks of {summary['resource_count']} resources hold")
        if summary["parsing_errors"]:
            found.append(f"checkov could not read some {kind} files")
        found += [
            f"{one['resource']}: {one['check_id']} {one['check_name']}" for one in report["results"]["failed_checks"]
        ]
    passed = {report["check_type"] for report in reports if report["summary"]["passed"]}
    return found + [f"checkov has checked no {kind}" for kind in sorted(KINDS - passed)]
