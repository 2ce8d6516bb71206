"""Tells whether the pools are full. A configured size says nothing about what is ready."""

from pools.status.state import PoolState, Stock


def what_is_missing(state: PoolState, *, pods: int = 1) -> list[str]:
    """What the pools lack to be full, as texts. Empty: at least `pods` pods take sessions and all targets are reached.

    A pool with the target 0 is never full: its callers would wait.
    """
    missing = []
    taking = sum(pod.taking for pod in state.pods)
    if taking < pods:
        missing.append(f"{taking} of {pods} pods take sessions")
    for pod in state.pods:
        missing += _short(f"pod {pod.pod.name}: agent processes", pod.agents) if pod.taking else []
    if taking:
        missing += _nothing_wanted(state)
    return missing + _short("rooms", state.rooms)  # any pod's room serves any claim


def _short(name: str, stock: Stock) -> list[str]:
    if stock.available >= stock.pool_size:
        return []
    return [f"{name} {stock.available} of {stock.pool_size} ({stock.warming} warming)"]


def _nothing_wanted(state: PoolState) -> list[str]:
    taking = [pod.pod for pod in state.pods if pod.taking]
    pools = (
        ("agent processes", state.agents, sorted({pod.agent_target_why for pod in taking})),
        ("rooms", state.rooms, sorted({pod.room_target_why for pod in taking})),
    )
    return [
        f"{name} {stock.available} of 0: none are to be kept ({', '.join(why)})"
        for name, stock, why in pools
        if not stock.pool_size
    ]
