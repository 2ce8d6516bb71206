"""Naming a pod on the command line."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from pools.models import Pod


def add_pod_argument(parser: ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="name of a running pod (see `manage.py pools status`)")


def add_pod_option(parser: ArgumentParser, meaning: str) -> None:
    parser.add_argument("--pod", metavar="POD", help=f"{meaning} (default: all)")


def chosen_pod(options: Mapping[str, Any]) -> Pod:
    name = options["pod"]
    pod = Pod.objects.current().filter(name=name).first()
    if pod is None:
        running = ", ".join(Pod.objects.current().order_by("name").values_list("name", flat=True)[:20]) or "none"
        raise CommandError(f"no pod is named {name[:100]!r}; running: {running}")
    return pod
