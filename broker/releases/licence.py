"""The licence that goes with every release, as a text of its own: a version, its bytes, their digest. Pure.

The text is never edited once a release bears it: another text is another version, in another file.
"""

import hashlib
from pathlib import Path

VERSION = "2026.11.1"
TITLE = f"Licence d'expérimentation Terrain, version {VERSION}"
FILE_NAME = "LICENCE.txt"
TEXT = (Path(__file__).parent / "LICENCE.fr.txt").read_text(encoding="utf-8")
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


def facts() -> dict:
    """What `packages` says of it."""
    return {
        "title": TITLE, "version": VERSION, "sha256": SHA256, "path": FILE_NAME, "bytes": len(TEXT.encode()),
    }  # fmt: skip


def mention(told: dict) -> str:
    """What stands inside a Parquet file of the licence `told` (see `facts`): the rule, and where the text is."""
    return f"Expérimentation seulement. {told['title']}, SHA-256 {told['sha256']}."
