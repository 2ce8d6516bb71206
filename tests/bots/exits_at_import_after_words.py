import sys

print("\x1b[31mSet MY_LICENCE first\x1b[0m", file=sys.stderr)  # noqa: T201
sys.exit(1)
