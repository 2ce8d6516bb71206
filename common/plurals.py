"""Numbers of things as people say them."""


def counted(number: int, one: str, many: str = "") -> str:
    """1 pod, 2 pods; 0 processes."""
    return f"{number} {one if number == 1 else many or one + 's'}"
