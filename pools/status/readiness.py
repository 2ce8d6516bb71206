"""Whether the pools are really full: "configured" is not "ready"."""

from pools.status.state import PoolState, Stock


def what_is_missing(state: PoolState, *, pods: int = 1) -> list[str]:
    """In words; empty: at least so many pods take sessions, and what each is to keep is there to be claimed."""
    missing = []
    taking = sum(pod.taking for pod in state.pods)
    if taking < pods:
        missing.append(f"{taking} of {pods} pods take sessions")
    for pod in state.pods:
        missing += _short(f"pod {pod.pod.name}: agent processes", pod.agents) if pod.taking else []
    return missing + _short("rooms", state.rooms)  # any pod's room serves any claim


def _short(name: str, stock: Stock) -> list[str]:
    if stock.available >= stock.pool_size:
        return []
    return [f"{name} {stock.available} of {stock.pool_size} ({stock.warming} warming)"]
