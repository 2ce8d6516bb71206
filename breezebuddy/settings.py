"""All settings, read from the environment; `.env.example` lists every variable with its default."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from breezebuddy import configuration as conf
from breezebuddy import development, theme
from pools.agent.launcher import PROVIDERS

BASE_DIR = Path(__file__).resolve().parent.parent
if (BASE_DIR / ".env").exists():  # each process of a container would log that it is not
    conf.env.read_env(BASE_DIR / ".env")  # real environment variables win over the file

DATA_DIR = Path(conf.text("DATA_DIR", str(BASE_DIR / ".data"))).absolute()

# --- pools -------------------------------------------------------------------------------------------------
VOICE_AGENT_POOL_SIZE, VOICE_AGENT_MAX_POOL_SIZE = conf.pool_sizes(
    "VOICE_AGENT_POOL_SIZE", "VOICE_AGENT_MAX_POOL_SIZE", 3
)
DAILY_ROOM_POOL_SIZE, DAILY_ROOM_MAX_POOL_SIZE = conf.pool_sizes("DAILY_ROOM_POOL_SIZE", "DAILY_ROOM_MAX_POOL_SIZE", 5)
POOL_HIT_RATE = conf.number("POOL_HIT_RATE", 0.999, minimum=0.5, maximum=0.99999)
VOICE_AGENT_MAX_PROCESSES = conf.whole_number("VOICE_AGENT_MAX_PROCESSES", 20, minimum=1, maximum=10_000)
if VOICE_AGENT_MAX_POOL_SIZE > VOICE_AGENT_MAX_PROCESSES:
    conf.refuse(
        "VOICE_AGENT_MAX_POOL_SIZE",
        VOICE_AGENT_MAX_POOL_SIZE,
        f"at most VOICE_AGENT_MAX_PROCESSES, which is {VOICE_AGENT_MAX_PROCESSES}",
    )

# --- agent processes ---------------------------------------------------------------------------------------
VOICE_AGENT_PREJOIN = conf.whole_number("VOICE_AGENT_PREJOIN", 0, minimum=0, maximum=VOICE_AGENT_MAX_PROCESSES)
VOICE_AGENT_BOT, VOICE_AGENT_BOT_DIR = conf.module_and_folder(
    "VOICE_AGENT_BOT", "VOICE_AGENT_BOT_DIR", "pools.agent.bots.default", BASE_DIR
)
VOICE_AGENT_VERSION = conf.text("VOICE_AGENT_VERSION", "")
VOICE_AGENT_START_METHOD = conf.choice("VOICE_AGENT_START_METHOD", "zygote", ("zygote", "spawn"))
VOICE_AGENT_ENV = conf.names("VOICE_AGENT_ENV", "")
VOICE_AGENT_STT = conf.choice("VOICE_AGENT_STT", "", ("", *PROVIDERS["VOICE_AGENT_STT"]))
VOICE_AGENT_LLM = conf.choice("VOICE_AGENT_LLM", "", ("", *PROVIDERS["VOICE_AGENT_LLM"]))
VOICE_AGENT_TTS = conf.choice("VOICE_AGENT_TTS", "", ("", *PROVIDERS["VOICE_AGENT_TTS"]))
VOICE_AGENT_SPOOL_DIR = Path(conf.text("VOICE_AGENT_SPOOL_DIR", str(DATA_DIR / "spool"))).absolute()
VOICE_AGENT_WARMUP_TIMEOUT = conf.seconds("VOICE_AGENT_WARMUP_TIMEOUT", 60, minimum=1, maximum=600)
VOICE_AGENT_MAX_IDLE = conf.seconds("VOICE_AGENT_MAX_IDLE", 3600, minimum=10, maximum=7 * 86_400)
VOICE_AGENT_AFTERWORK_S = conf.seconds("VOICE_AGENT_AFTERWORK_S", 5, minimum=0, maximum=600)
VOICE_AGENT_MEMORY_LIMIT = conf.whole_number("VOICE_AGENT_MEMORY_LIMIT", 256, minimum=0, maximum=1_000_000)

# --- sessions ----------------------------------------------------------------------------------------------
MAX_DAILY_SESSION_LIMIT = conf.whole_number("MAX_DAILY_SESSION_LIMIT", 1800, minimum=10, maximum=86_400)
CALLER_JOIN_TIMEOUT = conf.seconds("CALLER_JOIN_TIMEOUT", 60, minimum=1, maximum=3600)
CALLER_RETURN_TIMEOUT = conf.seconds("CALLER_RETURN_TIMEOUT", 20, minimum=1, maximum=3600)
BOT_JOIN_TIMEOUT = conf.seconds("BOT_JOIN_TIMEOUT", 8, minimum=1, maximum=120)
AUTOMATIC_SESSION_INACTIVITY_TIMEOUT = conf.seconds(
    "AUTOMATIC_SESSION_INACTIVITY_TIMEOUT", 900, minimum=5, maximum=86_400
)
WAITING_SESSION_TIMEOUT = conf.seconds("WAITING_SESSION_TIMEOUT", 10, minimum=1, maximum=120)
RETENTION_DAYS = conf.whole_number("RETENTION_DAYS", 30, minimum=0, maximum=36_500)
DRAIN_TIMEOUT = conf.seconds("DRAIN_TIMEOUT", MAX_DAILY_SESSION_LIMIT, minimum=0, maximum=86_400)

# --- Daily -------------------------------------------------------------------------------------------------
DAILY_API_KEY = conf.text("DAILY_API_KEY", "")
DAILY_API_URL = conf.text("DAILY_API_URL", "https://api.daily.co")
if not DAILY_API_URL.startswith(("https://", "http://")):
    conf.refuse("DAILY_API_URL", DAILY_API_URL, "an address that begins with https:// (or http:// for a sandbox)")
# Daily is reached over https:// only. The rooms of a sandbox are entered over a WebSocket, not with Daily's SDK.
DAILY_IS_SANDBOX = DAILY_API_URL.startswith("http://")
DAILY_ROOM_PREFIX = conf.text("DAILY_ROOM_PREFIX", "bb")
if not DAILY_ROOM_PREFIX.replace("-", "").replace("_", "").isalnum() or len(DAILY_ROOM_PREFIX) > 60:
    conf.refuse("DAILY_ROOM_PREFIX", DAILY_ROOM_PREFIX, "up to 60 letters, digits, - and _")
DAILY_ROOM_GEO = conf.text("DAILY_ROOM_GEO", "")
DAILY_ROOM_POOL_LIFE = conf.whole_number("DAILY_ROOM_POOL_LIFE", 3600, minimum=60, maximum=7 * 86_400)
DAILY_SELF_SIGNED_TOKENS = conf.switch("DAILY_SELF_SIGNED_TOKENS", True)
DAILY_WEBHOOKS = conf.switch("DAILY_WEBHOOKS", True)
ENABLE_AUTOMATIC_DAILY_RECORDING = conf.switch("ENABLE_AUTOMATIC_DAILY_RECORDING", False)
DAILY_DIAL_LIMIT = conf.whole_number("DAILY_DIAL_LIMIT", 5, minimum=1, maximum=10_000)
DAILY_CALLER_ID = conf.text("DAILY_CALLER_ID", "")

# --- telephony ---------------------------------------------------------------------------------------------
DIALLING = conf.switch("DIALLING", True)
PHONE_ANSWER_TIMEOUT = conf.seconds("PHONE_ANSWER_TIMEOUT", 60, minimum=5, maximum=600)
_smallest_pool = min(VOICE_AGENT_POOL_SIZE, DAILY_ROOM_POOL_SIZE)
WEB_RESERVE_PAIRS = conf.whole_number("WEB_RESERVE_PAIRS", 1 if _smallest_pool > 1 else 0, minimum=0, maximum=10_000)
if WEB_RESERVE_PAIRS and _smallest_pool <= WEB_RESERVE_PAIRS:
    conf.refuse("WEB_RESERVE_PAIRS", WEB_RESERVE_PAIRS, f"less than both pool sizes, the smaller is {_smallest_pool}")
WEB_RESERVE_SLOTS = conf.whole_number(
    "WEB_RESERVE_SLOTS", VOICE_AGENT_MAX_PROCESSES // 4, minimum=0, maximum=VOICE_AGENT_MAX_PROCESSES - 1
)

# --- reporting webhooks ------------------------------------------------------------------------------------
REPORTING_WEBHOOK_KEYS = conf.names("REPORTING_WEBHOOK_KEYS", "")
for _key in REPORTING_WEBHOOK_KEYS:
    if len(_key) < 32:
        conf.refuse("REPORTING_WEBHOOK_KEYS", f"{_key[:2]}...", "random values of at least 32 characters each")
REPORTING_WEBHOOK_NETWORKS = conf.networks("REPORTING_WEBHOOK_NETWORKS", "")

# --- one pod -----------------------------------------------------------------------------------------------
POD_NAME = conf.text("POD_NAME", socket.gethostname())
RUNPOOLS_HEALTH_PORT = conf.whole_number("RUNPOOLS_HEALTH_PORT", 8001, minimum=0, maximum=65_535)
RUNPOOLS_HEALTH_HOST = conf.address("RUNPOOLS_HEALTH_HOST", "" if conf.database_url("DATABASE_URL") else "127.0.0.1")

# --- Django ------------------------------------------------------------------------------------------------
DEBUG = conf.switch("DEBUG", False)
PUBLIC_URL = conf.text("PUBLIC_URL", "").rstrip("/")
if PUBLIC_URL and not PUBLIC_URL.startswith(("https://", "http://")):
    conf.refuse("PUBLIC_URL", PUBLIC_URL, "an address that begins with https:// (or http:// for development)")
DATABASE_URL = conf.database_url("DATABASE_URL")
if DEBUG and DATABASE_URL:
    conf.refuse("DEBUG", "on", "off where DATABASE_URL is set; its pages show settings, payloads and source code")
# In development too: a page of another name that leads to 127.0.0.1 would otherwise act here as one of ours.
ALLOWED_HOSTS = conf.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
if PUBLIC_HOST := urlsplit(PUBLIC_URL).hostname:
    ALLOWED_HOSTS.append(PUBLIC_HOST)
CSRF_TRUSTED_ORIGINS = conf.names("CSRF_TRUSTED_ORIGINS", "")
TALK_PAGE = conf.switch("TALK_PAGE", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
# HSTS and the redirect to HTTPS: the proxy at which TLS ends does both; our probes and pods speak plain HTTP.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]
STATUS_REQUIRE_TOKEN = conf.switch("STATUS_REQUIRE_TOKEN", False)
METRICS_TOKEN = conf.text("METRICS_TOKEN", "")
MAX_REQUEST_BODY_BYTES = conf.whole_number("MAX_REQUEST_BODY_BYTES", 512 * 1024, minimum=1024, maximum=16 * 1024 * 1024)
MAX_BULK_BODY_BYTES = conf.whole_number(
    "MAX_BULK_BODY_BYTES", 16 * 1024 * 1024, minimum=1024, maximum=256 * 1024 * 1024
)

SECRET_KEY = conf.secret("SECRET_KEY")
if not SECRET_KEY:
    if DATABASE_URL:
        conf.refuse(
            "SECRET_KEY", "(unset)", "a long random value, the same in every process, where DATABASE_URL is set"
        )
    SECRET_KEY = development.secret_key(DATA_DIR)  # `make run` keeps it

# --- callers of the API ------------------------------------------------------------------------------------
JWT_ALGORITHM = conf.choice("JWT_ALGORITHM", "HS256", ("HS256", "RS256"))
JWT_SECRET_KEY = conf.secret("JWT_SECRET_KEY")
JWT_PUBLIC_KEY = conf.pem("JWT_PUBLIC_KEY")
if JWT_ALGORITHM == "RS256" and not JWT_PUBLIC_KEY.startswith("-----BEGIN"):
    conf.refuse("JWT_PUBLIC_KEY", JWT_PUBLIC_KEY or "(unset)", "a public key in PEM form, where JWT_ALGORITHM is RS256")
JWT_ACCESS_TOKEN_EXPIRE_MINUTES = conf.whole_number("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", 60, minimum=1, maximum=1440)
LOGIN_RATE = conf.rate("LOGIN_RATE", "20/min")
PUSH_RATE = conf.rate("PUSH_RATE", "6000/min")
BULK_PUSH_RATE = conf.rate("BULK_PUSH_RATE", "60/min")
PROXIES = conf.whole_number("PROXIES", 0, minimum=0, maximum=10)

ROOT_URLCONF = "breezebuddy.urls"
WSGI_APPLICATION = "breezebuddy.wsgi.application"
INSTALLED_APPS = [
    "breezebuddy",  # before the theme: its templates come first
    "unfold.apps.BasicAppConfig",
    "breezebuddy.apps.BreezeBuddyAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "access",
    "pools",
    "leads",
    *development.apps(),
]
MIDDLEWARE = [
    "common.arrival.note_arrival",
    "breezebuddy.middleware.measure_requests",
    "breezebuddy.middleware.any_host_for_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_REQUEST_BODY_BYTES
APPEND_SLASH = False

# --- database ----------------------------------------------------------------------------------------------
# gunicorn's threads borrow from a pool of connections (a connection a request costs 8 ms); `runpools` and the
# other commands keep one connection for their whole life. CONN_HEALTH_CHECKS: a killed backend is replaced
# instead of becoming a 500. The choice is made by the process that serves HTTP (gunicorn.conf.py).
DATABASES = {"default": conf.env.db_url_config(DATABASE_URL or development.database_url(DATA_DIR))}
DATABASES["default"] |= {"ENGINE": "common.postgresql", "CONN_HEALTH_CHECKS": True}
# The threshold only lets statements be prepared that ask for it (common/postgresql/prepared.py); no others are.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 2,
    "prepare_threshold": 5,
    **DATABASES["default"].get("OPTIONS", {}),
}
DATABASE_POOL_SIZE = conf.whole_number("DATABASE_POOL_SIZE", 0, minimum=0, maximum=1000)
if DATABASE_POOL_SIZE:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"]["OPTIONS"],
        "pool": {
            "min_size": min(2, DATABASE_POOL_SIZE),
            "max_size": DATABASE_POOL_SIZE,
            "timeout": 2,
        },
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = None

# Migrations run beside the old code (docs/adr/0025). They give up a lock that is not granted at once, refuse what would
# rewrite a table or break the old code's statements, and go on where they were interrupted.
ZERO_DOWNTIME_MIGRATIONS_LOCK_TIMEOUT = "500ms"
ZERO_DOWNTIME_MIGRATIONS_RAISE_FOR_UNSAFE = True
ZERO_DOWNTIME_MIGRATIONS_IDEMPOTENT_SQL = True

# --- language, time, static files --------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = ["breezebuddy.formats"]
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # the admin's few files need no collectstatic
WHITENOISE_AUTOREFRESH = False

UNFOLD = theme.UNFOLD

# --- HTTP API ----------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.bearer.BearerTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "breezebuddy.negotiation.OnlyRenderer",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "common.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": PROXIES,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Breeze Buddy pools",
    "DESCRIPTION": "Push leads, connect voice sessions to a warm room and a warm agent process.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {  # fields of the same name with different words
        "AbortStatusEnum": ["success", "error", "processing"],
        "BulkStatusEnum": ["queued", "error"],
        "QueuedEnum": ["queued"],
        "StartKindEnum": "pools.models.StartKind",
    },
    "SWAGGER_UI_DIST": "SIDECAR",  # the docs page works without the internet
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- logs --------------------------------------------------------------------------------------------------
LOG_LEVEL = conf.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
OTEL_EXPORTER_OTLP_ENDPOINT = conf.text("OTEL_EXPORTER_OTLP_ENDPOINT", "")
LOG_FORMAT = conf.choice("LOG_FORMAT", "json" if DATABASE_URL else "text", ("json", "text"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_refusals": {"()": "breezebuddy.request_log.WithoutRefusals"}},
    "formatters": {"line": {"()": "pools.logs.log_format.formatter", "form": LOG_FORMAT}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "urllib3": {"level": "WARNING"},
        "psycopg.pool": {"level": "ERROR"},  # what it says of lost connections, requests say once
        "django.request": {"level": "ERROR", "filters": ["without_refusals"]},
    },
}

os.environ.setdefault("PYTHONUNBUFFERED", "1")
