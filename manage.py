#!/usr/bin/env python
"""Django's command line, on the settings of `broker.settings`."""

import os
import sys

if __name__ == "__main__":
    from broker.starting import loading

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    with loading():
        import django
        from django.core.management import execute_from_command_line

        django.setup()

    execute_from_command_line(sys.argv)
