"""The web's entry for gunicorn."""

import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from broker.starting import loading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
with loading():
    application = get_wsgi_application()
    import_module(settings.ROOT_URLCONF)  # else the first visitor waits for it
