"""What the images hold, read from the Dockerfile and .dockerignore: all that their code imports, nothing else."""

import ast
import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.programs import PROJECT
from trials.shipping.dockerfile import context, python_files, stages
from trials.shipping.images import SETTINGS

STAGES = stages((PROJECT / "Dockerfile").read_text())
OURS = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
SERVICE = ("api", "pods")
# The API's image holds the code of agents too, which only pods run.
FOR_AGENTS = Path("pools/agent")
LAUNCHER = FOR_AGENTS / "launcher.py"


def test_what_the_images_copy_is_in_the_build_context_and_nothing_else_is() -> None:
    copied = {path for stage in STAGES.values() for path in stage.paths}
    assert copied == context((PROJECT / ".dockerignore").read_text())


@pytest.mark.parametrize("target", SERVICE)
def test_an_image_of_the_service_holds_nothing_for_development(target: str) -> None:
    held = STAGES[target]
    assert {"access", "breezebuddy", "common", "leads", "pools", "manage.py", "gunicorn.conf.py"} == held.paths
    assert held.requirements == {"requirements.txt"} | ({"requirements-agent.txt"} if target == "pods" else set())


def test_the_image_for_development_holds_what_the_service_has_and_its_tools() -> None:
    held = STAGES["devtools"]
    assert held.paths == STAGES["api"].paths | {"devtools"}
    assert held.requirements == {"requirements.txt", "requirements-devtools.txt"}


@pytest.mark.parametrize("target", [*SERVICE, "devtools"])
def test_an_image_holds_all_that_its_code_imports(target: str) -> None:
    held, installed = STAGES[target], _installed(STAGES[target].requirements)
    allowed = set(sys.stdlib_module_names) | (OURS & held.paths) | _modules_of(installed)
    lacking = {
        (str(file.relative_to(PROJECT)), name)
        for file in _code_run_by(target)
        for name in _imported_by(file)
        if name.partition(".")[0] not in allowed
    }
    known_by_name = ("devtools.embedded_postgres", "devtools.dev_secret_key")  # only where devtools is found
    expected = {("breezebuddy/development.py", name) for name in known_by_name} if target in SERVICE else set()
    assert lacking == expected


def test_the_code_of_the_api_starts_without_what_its_image_lacks(tmp_path: Path) -> None:
    for path in STAGES["api"].paths:
        source = PROJECT / path
        shutil.copytree(source, tmp_path / path) if source.is_dir() else shutil.copy(source, tmp_path / path)
    lacking = set(_distributions()) - _modules_of(_installed(STAGES["api"].requirements)) - OURS
    assert {"aiohttp", "pipecat", "embedded_postgres"} <= lacking
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(lacking)!r}))\n"  # importing one raises
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(['manage.py', 'check'])\n"
        "import breezebuddy.wsgi\n"
        "sys.exit('devtools' in sys.modules)"
    )
    environment = dict(setting.split("=", 1) for setting in SETTINGS)
    environment |= {"DJANGO_SETTINGS_MODULE": "breezebuddy.settings", "DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def _code_run_by(target: str) -> Iterator[Path]:
    for file in python_files(PROJECT, STAGES[target].paths):
        path = file.relative_to(PROJECT)
        if target == "pods" or not path.is_relative_to(FOR_AGENTS) or path == LAUNCHER:
            yield file


@functools.cache
def _imported_by(file: Path) -> tuple[str, ...]:
    """The modules that a file imports wherever it does, `import_module("...")` included."""
    return tuple(_imports_in(file.read_text()))


def _imports_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Name("import_module") | ast.Attribute(attr="import_module"), args=[ast.Constant(str(name)), *_]
            ):
                yield name


def _installed(files: set[str]) -> set[str]:
    """The distributions that these requirements install here, with all that they require themselves."""
    wanted = [
        Requirement(line)
        for file in files
        for line in (PROJECT / file).read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        one = wanted.pop()
        key = (canonicalize_name(one.name), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            needs = [Requirement(text) for text in requires(one.name) or []]
        except PackageNotFoundError:  # for another system than this one
            continue
        found.add(key[0])
        extras = one.extras or {""}
        wanted += [need for need in needs if need.marker is None or _applies(need, extras)]
    return found


def _applies(need: Requirement, extras: set[str]) -> bool:
    assert need.marker is not None
    return any(need.marker.evaluate({"extra": extra}) for extra in extras)


_distributions = functools.cache(packages_distributions)


def _modules_of(distributions: set[str]) -> set[str]:
    return {
        module
        for module, names in _distributions().items()
        if {canonicalize_name(name) for name in names} & distributions
    }
