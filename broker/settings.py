"""One file, read from the environment, safe when silent: a missing variable stops the start and says what to do.

`deploy/env.example` lists every variable read here; a test compares the two.
"""

import os
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parent.parent


def required(name: str) -> str:
    """The variable `name`; without it nothing starts."""
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. `make demo` writes every variable to var/demo/env; in production copy "
            "deploy/env.example to /etc/terrain/env and fill it in."
        )
    return value


def listed(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


SECRET_KEY = required("SECRET_KEY")
SECRET_KEY_FALLBACKS = listed("SECRET_KEY_FALLBACKS")
DEBUG = False
DEMO = os.environ.get("DEMO") == "1"
ALLOWED_HOSTS = listed("ALLOWED_HOSTS")
SITE_URL = os.environ.get("SITE_URL", "http://127.0.0.1:8000")
DELIVERY_URL = os.environ.get("DELIVERY_URL", "http://127.0.0.1:8001")
SECURE = SITE_URL.startswith("https://")
TRUSTED_PROXIES = listed("TRUSTED_PROXIES")
LOG_ORIGIN = os.environ.get("LOG_ORIGIN", "terrain.example/log1")

# Folders. Only the worker knows KEY_STORE and SOURCES' private side; only `releases.store` opens RELEASES.
VAR = Path(os.environ.get("TERRAIN_VAR", BASE_DIR / "var"))
SOURCES = Path(os.environ.get("TERRAIN_SOURCES", VAR / "sources"))
# The operator's own files, a folder or a prefix a zone by its slug. The worker's environment alone sets these.
SOURCES_FOLDER = Path(folder) if (folder := os.environ.get("TERRAIN_SOURCES_FOLDER")) else None
S3_ENDPOINT = os.environ.get("TERRAIN_S3_ENDPOINT", "")
S3_REGION = os.environ.get("TERRAIN_S3_REGION", "us-east-1")
S3_BUCKET = os.environ.get("TERRAIN_S3_BUCKET", "")
S3_KEY = os.environ.get("TERRAIN_S3_KEY", "")
S3_SECRET = os.environ.get("TERRAIN_S3_SECRET", "")
RELEASES = Path(os.environ.get("TERRAIN_RELEASES", VAR / "releases"))
SCRATCH = Path(os.environ.get("TERRAIN_SCRATCH", VAR / "scratch"))
KEY_STORE = os.environ.get("TERRAIN_KEY_STORE", "")
# The second engine: a Spark Connect server (sc://host:port), from so many rows on, and a folder that both see.
SPARK_REMOTE = os.environ.get("TERRAIN_SPARK", "")
SPARK_ROWS = int(os.environ.get("TERRAIN_SPARK_ROWS", "50000000"))
SPARK_FOLDER = Path(os.environ.get("TERRAIN_SPARK_FOLDER", SCRATCH / "spark"))
SIGNER_SOCKET = os.environ.get("TERRAIN_SIGNER_SOCKET", str(VAR / "signer.sock"))
SIGNER_GROUP = os.environ.get("TERRAIN_SIGNER_GROUP", "")
SIGNER_FOLDER = Path(os.environ.get("TERRAIN_SIGNER_FOLDER", VAR / "signer"))
TSA_URL = os.environ.get("TERRAIN_TSA_URL", "")
TSA_CERTIFICATE = Path(file) if (file := os.environ.get("TERRAIN_TSA_CERTIFICATE")) else None
# The signed entries, outside the database and its backups: what a restored log is refilled from.
LOG_BUNDLES = Path(os.environ.get("TERRAIN_LOG_BUNDLES", VAR / "log-bundles"))
# The last checkpoint of the log that this one continues, when a log had to be closed.
LOG_CONTINUES = Path(file) if (file := os.environ.get("TERRAIN_LOG_CONTINUES")) else None
# Who cosigns the log's checkpoints: items `name+hash+key https://…`, the key alone for one that comes by itself.
WITNESSES = listed("TERRAIN_WITNESSES")
SEAL_KEY = os.environ.get("TERRAIN_SEAL_KEY", "")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "procrastinate.contrib.django",
    "csp",
    # The house: an app imports only from the apps above it.
    "broker.audit",
    "broker.accounts",
    "broker.epoch",
    "broker.keys",
    "zones",
    "consent",
    "broker.releases",
    "broker.desk",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "broker.middleware.Headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "broker.turns.Turnstile",  # after the files that need no turn, before the first query
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "broker.middleware.BodyLimit",  # before the CSRF check, which reads the body
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "broker.middleware.RequestContext",
    "broker.audit.receipts.Middleware",
    "broker.accounts.middleware.SecondFactor",
    "broker.middleware.VisitorLimit",
    "broker.once.SubmittedOnce",
    "broker.middleware.ErrorPages",
]

ROOT_URLCONF = "broker.urls"
WSGI_APPLICATION = "broker.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["broker.days"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "broker.middleware.page_context",
            ],
        },
    }
]


# Pages ask many short questions of a dozen tables joined along their keys: PostgreSQL spent longer on ordering these
# joins, or on compiling, than on answering. Measured in docs/adr/0012-limits-and-scale.md.
PLANNING = "-c join_collapse_limit=4 -c from_collapse_limit=4 -c jit=off"

# Connections that the threads of a process share, at most; 0: each thread keeps its own. Few, and used all the time,
# they keep what PostgreSQL has learnt of the tables.
POOL = int(os.environ.get("DATABASE_POOL") or 0)


def database(url: str) -> dict:
    """Django's settings of one PostgreSQL connection string. `ATOMIC_REQUESTS` stays off: verbs open transactions."""
    parts = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", "terrain"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_MAX_AGE": 0 if POOL else 60,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": {
            **parts,
            **({"pool": {"min_size": 1, "max_size": POOL}} if POOL else {}),
            "options": f"-c lock_timeout=10s -c idle_in_transaction_session_timeout=30s {PLANNING}",
        },
    }


# The sequencer's own role, connected directly; in its process DATABASE_URL may be that role's already.
SEQUENCER_DATABASE_URL = os.environ.get("TERRAIN_SEQUENCER_DATABASE_URL") or required("DATABASE_URL")
DATABASES = {"default": database(required("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counted guesses and spent codes live here: by default the 301st entry throws out a third of them, unexpired ones too,
# and a stranger could make room for a replay by guessing on 300 addresses.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache_entry",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

AUTH_USER_MODEL = "accounts.User"
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "desk"
LOGOUT_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no letter to somebody who never came
ACCOUNT_ADAPTER = "broker.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {"login": "broker.accounts.forms.LoginForm", "signup": "broker.accounts.forms.SignupForm"}
# In the demo everybody comes from 127.0.0.1: the limits by address are those of a crowd, those by account stay.
ACCOUNT_RATE_LIMITS = {"login": "600/m/ip", "signup": "200/m/ip", "login_failed": "200/m/ip,5/300s/key"} if DEMO else {}
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
MFA_ADAPTER = "broker.accounts.adapters.MFAAdapter"
MFA_FORMS = {
    "authenticate": "broker.accounts.forms.AuthenticateForm",
    "reauthenticate": "broker.accounts.forms.ReauthenticateForm",
    "activate_totp": "broker.accounts.forms.ActivateTOTPForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Terrain"
MFA_TOTP_TOLERANCE = 1  # one step of 30 s either way: RFC 6238 section 5.2

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True  # a form carries the CSRF token itself
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
# The prefix makes a browser refuse these cookies from another host, or without https: RFC 6265bis, section 4.1.3.2.
SESSION_COOKIE_NAME = "__Host-sessionid" if SECURE else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if SECURE else "csrftoken"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_TRUSTED_ORIGINS = [SITE_URL]
# The proxy of deploy/nginx.conf redirects as well; the probe of a load balancer speaks to the process itself.
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^sante/$"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "frame-src": [NONE],
        "worker-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF, DELIVERY_URL],
        **({"upgrade-insecure-requests": True} if SECURE else {}),
    }
}

LANGUAGE_CODE = "fr"
LANGUAGES = [("fr", "Français"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Europe/Paris"
USE_I18N = USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False
# What one request may bring. A route that takes more says so by `broker.middleware.takes`.
FORM_MAX_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024**2
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4_000  # the roles of a table of a thousand columns: three fields each, and some
DATA_UPLOAD_MAX_NUMBER_FILES = 64  # the tables of a dataset; each is sealed as it arrives
SOURCE_MAX_BYTES = 2 * 1024**3
EVIDENCE_MAX_BYTES = 10 * 1024**2
# POST requests of one address that is signed in nowhere, a minute; in the demo everybody comes from 127.0.0.1.
VISITOR_POSTS_A_MINUTE = 600 if DEMO else 30

PROCRASTINATE_ON_APP_READY = "broker.jobs.connect"

EMAIL_BACKEND = os.environ.get("EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_FILE_PATH = str(VAR / "mail")
EMAIL_HOST = os.environ.get("EMAIL_HOST", "localhost")
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "terrain@localhost")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 25,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "broker.middleware.problem",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Terrain",
    "VERSION": "1",
    "DESCRIPTION": "Courtier de données d'expérimentation : registre, catalogue, remises.",
    "SERVE_INCLUDE_SCHEMA": False,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL", "WARNING")},
}
