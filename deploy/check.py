"""`make check`, after the linter: layers, types, migrations, drawn references, lock files.

Each check says in one line whether it held, and a failing one gives its own words. `--draw` redraws the references.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("uv.lock", "requirements/run.txt", "requirements/test.txt")
# The public default of Python packages, and nothing else: a mirror's name in a lock file breaks every other machine.
HOSTS = frozenset({"pypi.org", "files.pythonhosted.org"})
PYTHON = sys.executable


def foreign_hosts(text: str) -> set[str]:
    """The hosts named in a lock file that are not the public default."""
    found = {urlsplit(url).hostname or url for url in re.findall(r"https?://[^\s\"'<>)\]]+", text)}
    found |= {
        line.strip() for line in text.splitlines() if re.match(r"\s*(-i|--(extra-)?index-url|--find-links)\b", line)
    }
    return {host for host in found if host not in HOSTS}


def check_locks() -> str:
    wrong = {name: hosts for name in LOCKS if (hosts := foreign_hosts((ROOT / name).read_text()))}
    return "\n".join(f"{name} names {', '.join(sorted(hosts))}" for name, hosts in wrong.items())


def command(*arguments: str):
    def run() -> str:
        done = subprocess.run(arguments, cwd=ROOT, env=environment(), capture_output=True, text=True)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"status {done.returncode}"

    return run


def environment() -> dict[str, str]:
    """Settings load without a secret and without a database: nothing here connects."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TERRAIN_") and name != "DEMO"}
    return kept | {"SECRET_KEY": "check only", "DATABASE_URL": "host=/nowhere dbname=none", "PYTHONPATH": str(ROOT)}


CHECKS = {
    "layers": command(
        PYTHON, "-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    ),
    "migrations": command(PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"),
    "references": command(PYTHON, "manage.py", "draw_reference", "--check"),
    "locks": check_locks,
    "types": command(PYTHON, "-m", "mypy", "broker", "zones", "consent", "deploy"),
}


def main() -> int:
    if "--draw" in sys.argv:
        print(command(PYTHON, "manage.py", "draw_reference")() or "references drawn")
        return 0
    failed = 0
    for name, check in CHECKS.items():
        begun = time.monotonic()
        said = check()
        print(f"{name:<11}{'FAILED' if said else 'ok':<7}{time.monotonic() - begun:5.1f} s", flush=True)
        if said:
            failed += 1
            print(said)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
