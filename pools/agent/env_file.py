"""The `.env` beside a bot: read for it, because `load_dotenv()` in an agent would find the service's own as well."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pools.agent.environment import is_forbidden

NAME = ".env"


@dataclass(frozen=True)
class EnvFile:
    """`values` are for the bot; what is `left_out` is a secret of the service, or has been taken away from bots."""

    path: Path
    values: Mapping[str, str] = field(repr=False)
    left_out: Collection[str]


def find(bot: str, bot_dir: Path, project_dir: Path) -> Path | None:
    """The file nearest to the bot's module, not above its directory; never the service's own."""
    place = bot_dir.joinpath(*bot.split("."))
    for folder in (place, *place.parents):
        if folder == project_dir:
            return None
        if (folder / NAME).is_file():
            return folder / NAME
        if folder == bot_dir:
            return None
    return None


def read(path: Path, environment: Mapping[str, str], withheld: Collection[str]) -> EnvFile:
    """`environment` is what the bot has already: it wins, and `${NAME}` means it. Raises OSError, UnicodeError."""
    from dotenv import dotenv_values  # not there where only the API runs
    from dotenv.variables import parse_variables

    values: dict[str, str] = {}
    left_out = []
    for name, value in dotenv_values(path, interpolate=False).items():
        if is_forbidden(name) or name in withheld:
            left_out.append(name)
        elif value is not None and name not in environment:
            known = {**values, **environment}
            values[name] = "".join(atom.resolve(known) for atom in parse_variables(value))
    return EnvFile(path, values, left_out)
