"""The real files of the demo are the originals, byte for byte, and small."""

import gzip
import hashlib
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data"
MOST = 10 * 1024 * 1024


def _digest(path: Path) -> str:
    """SHA-256 of the content, gzip opened."""
    body = path.read_bytes()
    return hashlib.sha256(gzip.decompress(body) if path.suffix == ".gz" else body).hexdigest()


def test_the_demo_s_files_are_the_originals(real_data):
    originals = {(path.name.removesuffix(".gz"), _digest(path)) for path in real_data.rglob("*") if path.is_file()}

    for path in DATA.iterdir():
        if path.name != "README.md":
            assert (path.name.removesuffix(".gz"), _digest(path)) in originals, path.name


def test_the_demo_s_files_stay_small_and_say_where_they_come_from():
    files = [path for path in DATA.iterdir() if path.name != "README.md"]
    said = (DATA / "README.md").read_text()

    assert sum(path.stat().st_size for path in files) <= MOST
    assert [path.name for path in files if path.name not in said] == []
