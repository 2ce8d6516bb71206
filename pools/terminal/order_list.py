"""Orders as operators read them on a terminal: what, by whom, until when, and how to take each back."""

from collections.abc import Iterable
from datetime import datetime

from pools.decisions.targets import Action
from pools.models import PoolOrder
from pools.terminal.screen import table


def order_table(orders: Iterable[PoolOrder]) -> str:
    head = ("order", "from", "until", "by", "why", "back: manage.py")
    rows = [
        (
            order,
            clock(order.starts_at),
            clock(order.ends_at) or "taken back",
            order.ordered_by,
            order.reason,
            undo(order),
        )
        for order in orders
    ]
    return table(head, rows)


def back(order: PoolOrder) -> str:
    return f"manage.py {undo(order)}"


def undo(order: PoolOrder) -> str:
    pod = f" --pod {order.pod_name}" if order.pod_name else ""
    match order.action:
        case Action.PAUSE:
            return f"pools resume {order.pool_word}{pod}"
        case Action.SIZE:
            return f"pools resize {order.pool_word} configured{pod}"
    return f"pools reserve --cancel {order.uuid}"


def clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
