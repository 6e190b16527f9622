"""Only `broker/releases/store.py` names the folder of stored releases (invariant 1)."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = re.compile(r"settings\.RELEASES|TERRAIN_RELEASES")


def test_no_other_module_names_the_folder_of_stored_releases():
    found = {
        str(path.relative_to(ROOT))
        for app in ("broker", "zones", "consent")
        for path in (ROOT / app).rglob("*.py")
        if NAMES.search(path.read_text(encoding="utf-8"))
    }

    assert found == {"broker/releases/store.py", "broker/settings.py"}
