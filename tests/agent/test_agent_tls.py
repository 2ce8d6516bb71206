"""TLS contexts made before the fork: what the providers' clients take from stock, in a process without Django."""

import subprocess
import sys

CLIENTS_TAKE_FROM_STOCK = """
import ssl
import httpx, openai, websockets
from pools.agent import tls

stock = tls.prepare()
assert {name: len(made) for name, made in stock.items()} == {"httpx": 3, "httpx2": 3, "websockets": 3}, stock
openai.AsyncOpenAI(api_key="a key")
httpx.AsyncClient()
assert {name: len(made) for name, made in stock.items()} == {"httpx": 2, "httpx2": 2, "websockets": 3}, stock
httpx.AsyncClient(verify=False)
ssl.create_default_context(cadata=open(__import__("certifi").where()).read())
assert {name: len(made) for name, made in stock.items()} == {"httpx": 2, "httpx2": 2, "websockets": 3}, stock
contexts = [ssl.create_default_context() for _ in range(4)]
assert stock["websockets"] == [] and len(set(map(id, contexts))) == 4
assert all(made.verify_mode is ssl.CERT_REQUIRED and made.check_hostname for made in contexts)
"""
NOTHING_IMPORTED = """
import ssl
from pools.agent import tls
usual = ssl.create_default_context
assert tls.prepare() == {} and ssl.create_default_context is usual
"""


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_clients_of_providers_take_contexts_that_are_ready_each_one_once_and_only_ordinary_ones() -> None:
    run(CLIENTS_TAKE_FROM_STOCK)


def test_for_clients_that_the_bot_has_not_imported_nothing_is_made() -> None:
    run(NOTHING_IMPORTED)
