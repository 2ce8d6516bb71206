"""Who may import whom (docs/design.md): modules are imported in a fresh interpreter, which says what came along."""

import json
import re
import subprocess
import sys

import pytest

from tests.support.programs import PROJECT

PACKAGES = ("access", "breezebuddy", "common", "leads", "pools")
# From the bottom to the top: a package imports only packages that stand before it. Tests import everything.
TOP = ("common", "access", "pools", "leads", "breezebuddy", "devtools", "trials")
# What `pools` is made of, from the bottom to the top: what stands in a line imports nothing of its line or above.
LAYERS = (
    "phone",
    "decisions logs notifications protocol shares timer",
    "agent models",
    "kernel supervisor_config",
    "metrics",
    "daily guards",
    "http_calls sessions",
    "processes rooms sizing",
    "operators",
    "status",
    "api chores dashboard terminal",
    "admin supervisor urls",
    "apps management",
)


def modules_below(package: str) -> list[str]:
    """Dotted names of everything in a package, migrations aside."""
    names = []
    for path in sorted((PROJECT / package.replace(".", "/")).rglob("*.py")):
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        if ".migrations" not in name:
            names.append(name)
    return names


def imported_with(*modules: str, django: bool = False) -> set[str]:
    """All modules that are loaded after these have been imported."""
    program = "import json, sys, importlib\n"
    if django:
        program += "import os, django\nos.environ['DJANGO_SETTINGS_MODULE'] = 'breezebuddy.settings'\ndjango.setup()\n"
    program += "[importlib.import_module(name) for name in sys.argv[1:]]\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program, *modules], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def agent_modules() -> list[str]:
    """What runs in agents and beside them, but for the bots: those are users of Pipecat."""
    return [name for name in modules_below("pools.agent") if not name.startswith("pools.agent.bots")]


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param([*modules_below("pools.decisions"), "pools.shares"], id="decisions"),
        pytest.param(["pools.sizing.simulation", "pools.sizing.recommendation"], id="sizing"),
        pytest.param(["pools.protocol"], id="protocol"),
        pytest.param(["pools.phone"], id="phones"),
        pytest.param(modules_below("pools.logs"), id="logs"),
        pytest.param(modules_below("pools.kernel"), id="kernel"),
        pytest.param([f"pools.daily.{name}" for name in ("client", "tokens", "errors", "webhooks")], id="daily"),
        pytest.param(modules_below("devtools.sandbox"), id="sandbox"),
        pytest.param(agent_modules(), id="agent"),
    ],
)
def test_what_has_to_do_without_django_does(modules):
    loaded = imported_with(*modules)
    assert "django" not in roots(loaded)
    assert not {name for name in loaded if name.startswith(("pools.models", "access", "leads", "breezebuddy"))}


def test_the_launcher_of_agents_needs_nothing_but_the_standard_library():
    with_launcher = roots(imported_with("pools.agent.launcher"))
    assert with_launcher - roots(imported_with()) <= set(sys.stdlib_module_names) | {"pools"}


def test_the_default_bot_needs_no_django():
    assert "django" not in roots(imported_with("pools.agent.bots.default", "pools.agent.bots.light"))


def test_no_process_of_django_imports_pipecat():
    inside = [
        name
        for package in PACKAGES
        for name in modules_below(package)
        if not name.startswith("pools.agent.") or name == "pools.agent.launcher"
    ]
    loaded = roots(imported_with(*inside, django=True))
    assert "pipecat" not in loaded and "onnxruntime" not in loaded


def packages_imported_by(package: str) -> set[str]:
    pattern = re.compile(rf"^\s*(?:from|import) ({'|'.join(TOP)})\b", re.MULTILINE)
    return {name for path in (PROJECT / package).rglob("*.py") for name in pattern.findall(path.read_text())}


def test_every_package_is_in_the_picture():
    ours = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    assert set(TOP) == ours - {"tests"}


@pytest.mark.parametrize("package", TOP)
def test_a_package_imports_only_packages_below_it(package):
    assert packages_imported_by(package) <= set(TOP[: TOP.index(package) + 1])


def parts_imported_by(part: str) -> set[str]:
    """The parts of `pools` that a package or module of it names in its imports, wherever they stand in the source."""
    pattern = re.compile(r"^\s*(?:from pools\.(\w+)|from pools import (.+)|import pools\.(\w+))", re.MULTILINE)
    place = PROJECT / "pools" / part
    paths = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    found = [match for path in paths for match in pattern.findall(path.read_text())]
    return {name.strip().split()[0] for groups in found for name in ",".join(filter(None, groups)).split(",")} - {part}


def test_the_packages_of_the_pools_stand_in_layers():
    there = {
        path.stem for path in (PROJECT / "pools").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    layer_of = {part: number for number, layer in enumerate(LAYERS) for part in layer.split()}
    assert set(layer_of) == there - {"__init__", "migrations"}
    upwards = {
        f"{part} imports {other}"
        for part in layer_of
        for other in parts_imported_by(part)
        if layer_of[other] >= layer_of[part]
    }
    assert not upwards


def test_the_supervisor_works_without_leads():
    assert "leads" not in roots(own_imports("pools.supervisor.loop"))


def own_imports(module: str) -> set[str]:
    """Of our own modules, followed through the source: what importing `module` would load of them."""
    pattern = re.compile(r"^(?:from|import) ((?:access|common|pools|leads|breezebuddy)[\w.]*)", re.MULTILINE)
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        place = PROJECT / name.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if name in found or not path.exists():
            continue
        found.add(name)
        queue += pattern.findall(path.read_text())
    return found
