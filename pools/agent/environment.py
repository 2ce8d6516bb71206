"""Builds the environment of an agent process from an allow-list, because a bot and its libraries can read all of it."""

import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What any program needs to find its files, time zone, certificates and proxies, and the default bot's choice of
# providers.
BASICS = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "LOGURU_LEVEL",
    "VOICE_AGENT_STT",
    "VOICE_AGENT_LLM",
    "VOICE_AGENT_TTS",
)

# Which providers the default bot can speak with (`pools.agent.bots.providers`), by the setting that names one.
PROVIDERS = {
    "VOICE_AGENT_STT": ("deepgram", "cartesia", "openai"),
    "VOICE_AGENT_LLM": ("openai",),
    "VOICE_AGENT_TTS": ("cartesia", "deepgram", "openai"),
}

# The keys of the speech and language providers that Pipecat supports. Bots get them too, unless VOICE_AGENT_ENV removes
# them.
PROVIDER_KEYS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_SPEECH_API_KEY",
    "AZURE_SPEECH_REGION",
    "AZURE_CHATGPT_API_KEY",
    "AZURE_CHATGPT_ENDPOINT",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "GROQ_API_KEY",
    "CEREBRAS_API_KEY",
    "DEEPSEEK_API_KEY",
    "MISTRAL_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
    "DEEPGRAM_API_KEY",
    "ASSEMBLYAI_API_KEY",
    "GLADIA_API_KEY",
    "SONIOX_API_KEY",
    "SPEECHMATICS_API_KEY",
    "CARTESIA_API_KEY",
    "CARTESIA_VOICE_ID",
    "ELEVENLABS_API_KEY",
    "ELEVENLABS_VOICE_ID",
    "RIME_API_KEY",
    "SARVAM_API_KEY",
    "SMALLEST_API_KEY",
)

# Secrets of the service. A bot that had them could read every call, open rooms at our cost or log in as anybody.
_FORBIDDEN = re.compile(
    r"DATABASE_URL|DAILY_API_KEY|(DJANGO_)?SECRET_KEY(_.*)?|SIGNING_KEY|PG(PASSWORD|PASSFILE|SERVICE|SERVICEFILE)"
    r"|JWT_.*|.*_(JWT_SECRET|SIGNING_KEY|PRIVATE_KEY)"
)

_ENV_FILE = ".env"

_ALWAYS = {
    # numpy and onnxruntime otherwise start threads when they are imported, and a process with threads must not fork.
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # load_dotenv() searches upwards from the calling file and would find the service's own .env.
    "PYTHON_DOTENV_DISABLED": "1",
    "PYTHONUNBUFFERED": "1",
}


def is_forbidden(name: str) -> bool:
    """Return whether a variable of this name must never be in an agent's environment."""
    return _FORBIDDEN.fullmatch(name) is not None


def names_for_bots(changes: Iterable[str]) -> tuple[str, ...]:
    """Return the variables that bots may see: known providers' keys, and what VOICE_AGENT_ENV adds (`NAME`)."""
    return tuple(dict.fromkeys((*PROVIDER_KEYS, *(name for name in changes if not name.startswith("!")))))


def withheld_names(changes: Iterable[str]) -> frozenset[str]:
    """Return the variables that VOICE_AGENT_ENV removes (`!NAME`)."""
    return frozenset(name[1:].strip() for name in changes if name.startswith("!"))


def agent_environment(
    environ: Mapping[str, str], names: Iterable[str] = PROVIDER_KEYS, withheld: Container[str] = ()
) -> dict[str, str]:
    """Select an agent's environment from `environ`: the basics and the variables in `names`, without those that are
    `withheld`, and with the settings that forking needs.

    Raises ValueError naming the first of `names` that is forbidden.
    """
    names = tuple(names)
    for name in names:
        if is_forbidden(name):
            raise ValueError(f"VOICE_AGENT_ENV: {name} is a secret of the service and is never given to a bot")
    environment = {name: environ[name] for name in (*BASICS, *names) if name in environ and name not in withheld}
    environment.setdefault("LOGURU_LEVEL", "INFO")  # Pipecat's own default is DEBUG, which logs what callers say
    return {**environment, **_ALWAYS}


@dataclass(frozen=True)
class EnvFile:
    """The `.env` beside a bot. It is read for the bot, because `load_dotenv()` would also find the service's own.

    `values` are given to the bot. Names in `left_out` are secrets of the service, or were removed by VOICE_AGENT_ENV.
    """

    path: Path
    values: Mapping[str, str] = field(repr=False)
    left_out: Collection[str]


def find_env_file(bot: str, bot_dir: Path, project_dir: Path) -> Path | None:
    """Return the `.env` nearest to the bot's module, not above its directory; never the service's own."""
    place = bot_dir.joinpath(*bot.split("."))
    for folder in (place, *place.parents):
        if folder == project_dir:
            return None
        if (folder / _ENV_FILE).is_file():
            return folder / _ENV_FILE
        if folder == bot_dir:
            return None
    return None


def read_env_file(path: Path, environment: Mapping[str, str], withheld: Collection[str]) -> EnvFile:
    """Read a bot's `.env`. Raises OSError, UnicodeError.

    `environment` is what the bot has already; it takes precedence, and `${NAME}` may refer to it.
    """
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
