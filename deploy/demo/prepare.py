"""What the database and the pages need before the processes start. One Python for all of it, since loading costs.

Run as `terrain_owner`: migrations, cache table, static files, messages. `seed_cast` runs apart, as `terrain_app`.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def compile_messages(folder: Path) -> int:
    """locale/*/LC_MESSAGES/*.po to .mo, without gettext's tools. Returns how many were written."""
    import polib

    written = 0
    for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            polib.pofile(str(source)).save_as_mofile(str(target))
            written += 1
    return written


def main() -> None:
    compile_messages(ROOT / "locale")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["messages"]:
        compile_messages(ROOT / "locale")
    else:
        main()
