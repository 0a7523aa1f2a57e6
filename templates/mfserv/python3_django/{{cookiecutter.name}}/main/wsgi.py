"""The web site: `app` is what the command in config.ini serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")
app = get_wsgi_application()
