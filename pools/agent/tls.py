"""TLS contexts made before the fork, for the clients of providers that a session will construct.

Such a client costs next to nothing but for its TLS context, which reads all certificate authorities: 22 ms of CPU and
0.7 MB each, while the caller waits. Here they are read in the zygote, without a thread, into memory that its children
share. Each context is handed out once in a process, because clients change theirs (ALPN); then they are made as ever.
"""

import sys
from collections.abc import Callable
from ssl import SSLContext
from typing import Any

_EACH = 3  # a session's clients of one library: speech to text, language model, voice

# If the bot has imported the first: the function that its clients call for a context, and the arguments that they give.
_HTTP = {"verify": True, "cert": None, "trust_env": True}
_MAKERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "httpx": ("httpx._transports.default", "create_ssl_context", _HTTP),
    "httpx2": ("httpx2._transports.default", "create_ssl_context", _HTTP),
    "websockets": ("ssl", "create_default_context", {}),
}


def prepare() -> dict[str, list[SSLContext]]:
    """Make contexts for the clients that the bot has imported; they leave these lists as they are handed out.

    A library that makes its contexts otherwise, in some version, is left alone.
    """
    stock = {}
    for library, (module, name, arguments) in _MAKERS.items():
        make = getattr(sys.modules.get(module), name, None)
        if library in sys.modules and make is not None:
            stock[library] = [make(**arguments) for _ in range(_EACH)]
            setattr(sys.modules[module], name, _from_stock(stock[library], make, arguments))
    return stock


def _from_stock(
    stock: list[SSLContext], make: Callable[..., SSLContext], arguments: dict[str, Any]
) -> Callable[..., SSLContext]:
    def make_or_take(*args: Any, **kwargs: Any) -> SSLContext:
        ordinary = not args and kwargs == arguments
        return stock.pop() if ordinary and stock else make(*args, **kwargs)

    return make_or_take
