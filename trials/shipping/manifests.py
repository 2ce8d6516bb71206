"""Renders the Kubernetes manifests as `kubectl apply -k` does, and checks them against schemas and our own rules."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

KUBERNETES = "1.33"
OF_OPERATORS = ("ServiceMonitor", "PrometheusRule", "ScaledObject")  # see operators.py
Manifest = dict[str, Any]


def rendered(directory: Path) -> list[Manifest]:
    """Render with kubectl's kustomize. Raises FileNotFoundError without kubectl, CalledProcessError if it fails."""
    if not shutil.which("kubectl"):
        raise FileNotFoundError("kubectl is missing; it renders the manifests (kubectl kustomize)")
    output = subprocess.run(
        ["kubectl", "kustomize", str(directory)],  # noqa: S607
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return [document for document in yaml.safe_load_all(output) if document]


def as_written(directory: Path) -> list[Manifest]:
    """Read the files of a kustomization and those below it, without kustomize's changes (namespace, images)."""
    found: list[Manifest] = []
    for name in yaml.safe_load((directory / "kustomization.yaml").read_text())["resources"]:
        path = directory / name
        found += as_written(path) if path.is_dir() else filter(None, yaml.safe_load_all(path.read_text()))
    return found


def schema_problems(manifests: list[Manifest]) -> list[str]:
    """Return unknown fields and wrong types, of Kubernetes' own kinds only."""
    problems = []
    for manifest in manifests:
        if manifest["kind"] in OF_OPERATORS:
            continue
        try:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            problems.append(f"{name_of(manifest)}: {error.message}")
    return problems


def rule_problems(manifests: list[Manifest]) -> list[str]:
    """Return violations of the rules that our service needs besides the schemas."""
    configuration = next(one["data"] for one in manifests if one["kind"] == "ConfigMap")
    problems = []
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        found = [problem for container in pod["containers"] for problem in _container_problems(container)]
        if not pod.get("securityContext", {}).get("runAsNonRoot"):
            found.append("may run as root")
        if pod.get("automountServiceAccountToken", True):
            found.append("mounts a token for Kubernetes' API that it does not need")
        if manifest["metadata"]["name"] == "pods":
            grace, drain = pod["terminationGracePeriodSeconds"], int(configuration["DRAIN_TIMEOUT"])
            if grace <= drain:
                found.append(f"terminationGracePeriodSeconds {grace} cuts calls: DRAIN_TIMEOUT is {drain}")
        if manifest["kind"] == "Deployment" and manifest["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            found.append("a roll-out takes capacity away")
        problems += [f"{name_of(manifest)}: {problem}" for problem in found]
    problems += _selector_problems(manifests)
    secret = {"DATABASE_URL", "SECRET_KEY", "DAILY_API_KEY", "JWT_SECRET_KEY", "METRICS_TOKEN"} & set(configuration)
    return problems + [f"ConfigMap: {name} belongs into the Secret" for name in sorted(secret)]


def _container_problems(container: Manifest) -> list[str]:
    context = container.get("securityContext", {})
    problems = []
    if not context.get("readOnlyRootFilesystem"):
        problems.append("its root file system can be written to")
    if context.get("allowPrivilegeEscalation", True) or context.get("capabilities", {}).get("drop") != ["ALL"]:
        problems.append("has rights that it does not need")
    if "memory" not in container.get("resources", {}).get("limits", {}):
        problems.append("has no limit of memory")
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if ports and container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
            problems.append(f"{probe} asks no port of its own")
    return [f"container {container['name']} {problem}" for problem in problems]


def _selector_problems(manifests: list[Manifest]) -> list[str]:
    """Check that every Service and PodDisruptionBudget selects pods of some Deployment."""
    made = [
        one["spec"]["template"]["metadata"]["labels"].items()
        for one in manifests
        if one["kind"] in ("Deployment", "Job")
    ]
    problems = []
    for manifest in manifests:
        selector = manifest.get("spec", {}).get("selector", {})
        labels = selector if manifest["kind"] == "Service" else selector.get("matchLabels", {})
        if labels and not any(labels.items() <= template for template in made):
            problems.append(f"{name_of(manifest)} selects nothing")
    return problems


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
