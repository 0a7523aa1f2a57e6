"""Django's settings; what an administrator may set is in `[custom]` of config.ini."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

MODULE = "{{cookiecutter.MFMODULE}}"
PLUGIN = os.environ.get(f"{MODULE}_CURRENT_PLUGIN_NAME", "{{cookiecutter.name}}")
BASE_DIR = Path(__file__).resolve().parent
# What is to outlive an update of the plugin is not in its directory.
VAR_DIR = Path(os.environ.get("MFMODULE_RUNTIME_HOME", BASE_DIR.parent)) / "var"


def secret_key():
    """All processes of a machine have to have the same one."""
    configured = os.environ.get(f"{MODULE}_CURRENT_PLUGIN_CUSTOM_SECRET_KEY")
    if configured or not VAR_DIR.is_dir():
        return configured or get_random_secret_key()
    file = VAR_DIR / f"{PLUGIN}.secret"
    if not file.exists():
        # Several processes may be at it: it is whole or not there, and the first one's counts.
        draft = VAR_DIR / f".{PLUGIN}.secret.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(get_random_secret_key())
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text()


SECRET_KEY = secret_key()
DEBUG = os.environ.get(f"{MODULE}_CURRENT_APP_DEBUG") == "1"
# nginx is in front, and answers for this plugin's routes alone.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "main.hello",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "main.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR_DIR / f"{PLUGIN}.sqlite3"}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True

# nginx serves them from there; `mwp build` puts them there, see mwp.toml.
STATIC_URL = f"/{PLUGIN}/main/static/"
STATIC_ROOT = BASE_DIR / "static"
