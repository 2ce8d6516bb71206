"""python -m devtools.embedded_postgres remove DATA_DIR...: removes servers' directories; `make clean` calls it."""

import sys
from pathlib import Path

from devtools.embedded_postgres import EmbeddedPostgresError, remove


def main() -> None:
    match sys.argv[1:]:
        case ["remove", *directories] if directories:
            for directory in directories:
                remove(Path(directory))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except EmbeddedPostgresError as exc:
        raise SystemExit(str(exc)) from None
