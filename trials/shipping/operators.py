"""Checks manifests of operators' kinds against the schemas of those operators.

The schemas are Python models made from the operators' own definitions, of the versions that the packages' numbers
begin with (requirements-dev.txt): KEDA 2.16 and Prometheus Operator 0.80.
"""

import json
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from trials.shipping.manifests import Manifest, name_of

KEDA_PROMETHEUS = {"serverAddress", "query", "threshold"}  # to KEDA's schema a trigger's metadata are any strings


def schema_problems(manifests: Iterable[Manifest]) -> list[str]:
    """Return unknown fields, wrong types and invalid durations."""
    kinds = _kinds()
    problems = []
    for manifest in manifests:
        if model := kinds.get(manifest["kind"]):
            problems += [f"{name_of(manifest)}: {problem}" for problem in _refusals(model, manifest)]
    return problems


def reference_problems(manifests: Iterable[Manifest], base: Iterable[Manifest]) -> list[str]:
    """Return references to services, ports or Deployments that do not exist."""
    services = [one for one in base if one["kind"] == "Service"]
    deployments = {one["metadata"]["name"] for one in base if one["kind"] == "Deployment"}
    problems = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "ServiceMonitor":
            problems += [f"{name_of(manifest)}: {problem}" for problem in _monitor_problems(spec, services)]
        elif manifest["kind"] == "ScaledObject":
            if (target := spec["scaleTargetRef"]["name"]) not in deployments:
                problems.append(f"{name_of(manifest)} scales {target}, which there is not")
            for number, trigger in enumerate(spec["triggers"]):
                if missing := KEDA_PROMETHEUS - set(trigger["metadata"]):
                    problems.append(f"{name_of(manifest)}: trigger {number} lacks {', '.join(sorted(missing))}")
    return problems


def jobs(manifests: Iterable[Manifest]) -> set[str]:
    """Return the values of the label `job` that the ServiceMonitors set."""
    return {
        relabeling["replacement"]
        for manifest in manifests
        if manifest["kind"] == "ServiceMonitor"
        for endpoint in manifest["spec"]["endpoints"]
        for relabeling in endpoint.get("relabelings", [])
        if relabeling["targetLabel"] == "job"
    }


def _monitor_problems(spec: Manifest, services: list[Manifest]) -> list[str]:
    wanted = spec["selector"]["matchLabels"].items()
    selected = [one for one in services if wanted <= one["metadata"].get("labels", {}).items()]
    ports = {port["name"] for one in selected for port in one["spec"]["ports"]}
    asked = [endpoint["port"] for endpoint in spec["endpoints"]]
    return [f"no service that it selects has a port {port}" for port in asked if port not in ports]


def _refusals(model: type[BaseModel], manifest: Manifest) -> list[str]:
    try:
        # By JSON, as an API server gets it: read strictly, "3" is no number there, but a word may be one of a list.
        model.model_validate_json(json.dumps(manifest), strict=True, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        return [f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in error.errors()]
    return []


def _kinds() -> dict[str, type[BaseModel]]:
    """Import the schemas only when needed: it takes a second or two."""
    from cloudcoil.models.keda.v1alpha1 import ScaledObject
    from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

    return {model.__name__: model for model in (PrometheusRule, ScaledObject, ServiceMonitor)}
