"""What is shipped: the Dockerfile, the compose file and the Kubernetes manifests, as far as files alone can tell.

`make check-deploy` goes further: it renders the manifests, executes the Dockerfile and rehearses a roll-out.
"""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from tests.support.alerting import alerts, selectors
from trials.shipping import linters, manifests, operators
from trials.shipping.compose import Compose, NotRead
from trials.shipping.release import NoRelease, exported
from trials.shipping.rules import rule_of

PROJECT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
KUBERNETES = PROJECT / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def base() -> list[manifests.Manifest]:
    return manifests.as_written(KUBERNETES)


def test_the_dockerfile_has_nothing_that_a_linter_minds() -> None:
    assert linters.dockerfile_problems(PROJECT / "Dockerfile") == []


def test_what_a_linter_minds_is_told(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\n")
    (problem,) = linters.dockerfile_problems(tmp_path / "Dockerfile")
    assert "DL3006" in problem


@pytest.mark.parametrize("target", ["api", "pods", "devtools"])
def test_each_image_runs_as_a_plain_user_below_an_init(target: str) -> None:
    (stage,) = re.findall(rf"^FROM base AS {target}\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    said = dict(re.findall(r"^([A-Z]+) (.+)$", stage, re.MULTILINE))
    assert said["USER"] == "10001:10001"
    assert json.loads(said["ENTRYPOINT"]) == ["tini", "--"]
    assert json.loads(said["CMD"])  # the list form: no shell between init and the service
    assert "HEALTHCHECK" in said


def test_the_compose_file_is_one() -> None:
    assert linters.compose_problems(PROJECT / "compose.yaml") == []


def test_every_file_that_compose_mounts_is_there() -> None:
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    paths = [path for path in mounted if path.startswith("./")]
    assert paths
    assert [path for path in paths if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("service", ["migrate", "api", "pods", "sandbox", "manage", "devtools"])
def test_every_service_of_ours_is_hardened(service: str) -> None:
    compose = Compose(PROJECT / "compose.yaml", {"SECRET_KEY": "k", "POSTGRES_PASSWORD": "p"})
    options = compose.run(service)
    assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} <= set(options)
    assert not [option for option in options if "${" in option]


def test_what_compose_wants_to_be_set_is_asked_for() -> None:
    with pytest.raises(NotRead, match="SECRET_KEY must be set"):
        Compose(PROJECT / "compose.yaml", {"POSTGRES_PASSWORD": "p"}).run("api")


def test_compose_ships_caps_above_the_sizes_so_that_the_examples_of_the_docs_work() -> None:
    options = " ".join(Compose(PROJECT / "compose.yaml", {"SECRET_KEY": "k", "POSTGRES_PASSWORD": "p"}).run("pods"))
    assert "VOICE_AGENT_MAX_POOL_SIZE=6" in options and "DAILY_ROOM_MAX_POOL_SIZE=10" in options
    assert settings.VOICE_AGENT_POOL_SIZE < 6 <= settings.VOICE_AGENT_MAX_PROCESSES
    assert "pools resize processes 6" in (PROJECT / "docs" / "operations.md").read_text()


def test_pods_of_compose_have_more_time_to_stop_than_a_drain_takes() -> None:
    compose = Compose(PROJECT / "compose.yaml", {"SECRET_KEY": "k", "POSTGRES_PASSWORD": "p"})
    (drain,) = (option.partition("DRAIN_TIMEOUT=")[2] for option in compose.run("pods") if "DRAIN_TIMEOUT" in option)
    assert int(drain) < int(compose.grace("pods"))


def test_the_manifests_hold_to_the_schemas_of_kubernetes(base: list[manifests.Manifest]) -> None:
    assert manifests.schema_problems(base) == []


def test_the_manifests_keep_our_promises(base: list[manifests.Manifest]) -> None:
    assert manifests.rule_problems(base) == []


@pytest.mark.parametrize(
    ("kind", "name", "change", "problem"),
    [
        ("ConfigMap", "breezebuddy", {"data": {"DRAIN_TIMEOUT": "3600"}}, "cuts calls"),
        ("ConfigMap", "breezebuddy", {"data": {"DAILY_API_KEY": "k"}}, "belongs into the Secret"),
        ("Deployment", "pods", {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}, "takes capacity away"),
        ("Service", "api", {"spec": {"selector": {"app.kubernetes.io/name": "apy"}}}, "selects nothing"),
    ],
)
def test_a_broken_promise_is_named(
    base: list[manifests.Manifest], kind: str, name: str, change: manifests.Manifest, problem: str
) -> None:
    changed = copy.deepcopy(base)
    (one,) = (one for one in changed if one["kind"] == kind and one["metadata"]["name"] == name)
    merge(one, change)
    assert any(problem in found for found in manifests.rule_problems(changed))


def test_a_misspelt_field_is_named(base: list[manifests.Manifest]) -> None:
    changed = copy.deepcopy(base)
    (pods,) = (one for one in changed if one["kind"] == "Deployment" and one["metadata"]["name"] == "pods")
    pods["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1860
    assert any("terminationGracePeriodSecond" in found for found in manifests.schema_problems(changed))


@pytest.fixture(scope="module")
def of_operators() -> list[manifests.Manifest]:
    return manifests.as_written(KUBERNETES / "monitoring") + manifests.as_written(KUBERNETES / "autoscaling")


def test_what_is_for_operators_holds_to_their_schemas(of_operators: list[manifests.Manifest]) -> None:
    assert {one["kind"] for one in of_operators} == set(manifests.OF_OPERATORS)
    assert operators.schema_problems(of_operators) == []


def test_what_is_for_operators_points_to_what_there_is(
    base: list[manifests.Manifest], of_operators: list[manifests.Manifest]
) -> None:
    assert operators.reference_problems(of_operators, base) == []


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("ScaledObject", {"spec": {"minReplicaCoun": 3}}, "minReplicaCoun: Extra inputs"),
        ("ScaledObject", {"spec": {"pollingInterval": "15"}}, "pollingInterval: Input should be a valid integer"),
        ("ServiceMonitor", {"spec": {"selector": {"matchLabel": {}}}}, "matchLabel: Extra inputs"),
        ("PrometheusRule", {"metadata": {"labls": {}}}, "labls: Extra inputs"),
    ],
)
def test_an_operator_would_refuse_it(
    of_operators: list[manifests.Manifest], kind: str, change: manifests.Manifest, problem: str
) -> None:
    one = copy.deepcopy(next(one for one in of_operators if one["kind"] == kind))
    merge(one, change)
    assert any(problem in found for found in operators.schema_problems([one]))


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("ScaledObject", {"spec": {"scaleTargetRef": {"name": "runpools"}}}, "scales runpools, which there is not"),
        ("ScaledObject", {"spec": {"triggers": [{"metadata": {"query": "1"}}]}}, "lacks serverAddress, threshold"),
        ("ServiceMonitor", {"spec": {"endpoints": [{"port": "metrics"}]}}, "has a port metrics"),
        ("ServiceMonitor", {"spec": {"selector": {"matchLabels": {"app": "api"}}}}, "has a port http"),
    ],
)
def test_an_operator_would_find_nothing(
    base: list[manifests.Manifest],
    of_operators: list[manifests.Manifest],
    kind: str,
    change: manifests.Manifest,
    problem: str,
) -> None:
    one = copy.deepcopy(next(one for one in of_operators if one["kind"] == kind))
    merge(one, change)
    assert any(problem in found for found in operators.reference_problems([one], base))


def test_the_jobs_that_alerts_ask_for_are_scraped_under_that_name_everywhere(
    of_operators: list[manifests.Manifest],
) -> None:
    """An alert on a job that has another name never fires."""
    patterns = {
        matcher.value
        for alert in alerts()
        for selector in selectors(alert["expr"])
        for matcher in selector.matchers.matchers
        if matcher.name == "job"
    }
    assert patterns
    scraped = {"the operator": operators.jobs(of_operators)}
    for name in ("prometheus.yml", "compose.yml"):
        written = yaml.safe_load((PROJECT / "deploy/prometheus" / name).read_text())
        scraped[name] = {one["job_name"] for one in written["scrape_configs"]}
    for where, jobs in scraped.items():
        assert [one for one in patterns if not any(re.fullmatch(one, job) for job in jobs)] == [], where


def test_every_variable_of_the_configuration_is_a_setting_of_ours(base: list[manifests.Manifest]) -> None:
    configuration = next(one["data"] for one in base if one["kind"] == "ConfigMap")
    documented = re.findall(r"^([A-Z_0-9]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    assert set(configuration) <= set(documented)


def test_the_alerts_of_the_operator_are_those_of_prometheus() -> None:
    assert (KUBERNETES / "monitoring" / "prometheus-rule.yaml").read_text() == rule_of(
        PROJECT / "deploy" / "prometheus" / "alerts.yml"
    )


def test_drain_covers_the_longest_session(base: list[manifests.Manifest]) -> None:
    configuration = next(one["data"] for one in base if one["kind"] == "ConfigMap")
    assert int(configuration["DRAIN_TIMEOUT"]) >= int(configuration["MAX_DAILY_SESSION_LIMIT"])
    assert json.loads(configuration["VOICE_AGENT_MAX_POOL_SIZE"]) <= settings.VOICE_AGENT_MAX_PROCESSES


def test_without_a_history_no_earlier_release_is_invented(tmp_path: Path) -> None:
    with pytest.raises(NoRelease, match=r"git has no revision e7c6036 here|there is no git here"):
        exported(tmp_path, "e7c6036", tmp_path / "before")
    assert not (tmp_path / "before").exists()


def merge(into: manifests.Manifest, change: manifests.Manifest) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value
