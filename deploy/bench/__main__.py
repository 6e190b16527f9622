"""`make bench WHAT=…`: run one measure, print a table, write var/bench/<WHAT>.json."""

import importlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.bench import Figures
from deploy.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "var" / "bench"
WHATS = ("release", "gate", "audit", "web", "profile")
DATABASE = "bench"


def judge(what: str, figures: Figures) -> dict:
    """The figures with their targets, in the shape of var/bench/<WHAT>.json."""
    targets = tomllib.loads((Path(__file__).parent / "targets.toml").read_text())[what]
    judged = {}
    for name, (value, unit) in figures.values.items():
        target = targets.get(name)
        met = None
        if target:
            if target["unit"] != unit:
                raise ValueError(f"{name} is in {unit}, its target in {target['unit']}")
            met = value <= target["max"] if "max" in target else value >= target["min"]
        judged[name] = {"value": round(value, 4), "unit": unit, "target": target, "met": met}
    return {"figures": judged, "settings": figures.settings, "notes": figures.notes}


def table(judged: dict) -> str:
    lines = []
    for name, figure in judged["figures"].items():
        target = figure["target"]
        bound = f"{'max' if 'max' in target else 'min'} {target.get('max', target.get('min'))}" if target else ""
        verdict = {True: "met", False: "MISSED", None: ""}[figure["met"]]
        lines.append(f"{name:<44}{figure['value']:>14g} {figure['unit']:<9}{bound:<12}{verdict}")
    return "\n".join([*lines, *judged["notes"]])


def prepare(cluster: Cluster) -> None:
    """A migrated database without rows, and Django's settings on it."""
    cluster.drop_database(DATABASE)
    cluster.create_database(DATABASE)
    os.environ |= {
        "SECRET_KEY": "bench only",
        "ALLOWED_HOSTS": "testserver,127.0.0.1",
        "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
        "TERRAIN_VAR": str(FOLDER / "files"),
        "TERRAIN_KEY_STORE": str(FOLDER / "files" / "keys"),
        "DJANGO_SETTINGS_MODULE": "broker.settings",
        "DATABASE_URL": cluster.url("terrain_owner", DATABASE),
    }
    shutil.rmtree(FOLDER / "files", ignore_errors=True)
    (FOLDER / "files" / "static").mkdir(parents=True)
    for command in (("migrate", "-v0"), ("createcachetable",)):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True)
    os.environ["BENCH_OWNER_URL"] = os.environ["DATABASE_URL"]
    os.environ["DATABASE_URL"] = cluster.url("terrain_app", DATABASE)


def owner_url() -> str:
    """The bench's database as its owner."""
    return os.environ["BENCH_OWNER_URL"]


def main() -> int:
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what not in WHATS:
        print(f"make bench WHAT={'|'.join(WHATS)}", file=sys.stderr)
        return 2
    if importlib.util.find_spec(f"deploy.bench.{what}") is None:
        print(f"deploy/bench/{what}.py is not there yet", file=sys.stderr)
        return 2
    cluster = Cluster(FOLDER).start()
    try:
        prepare(cluster)
        import django

        django.setup()
        figures = importlib.import_module(f"deploy.bench.{what}").measure()
        figures.settings |= {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "postgresql": cluster.major,
            "commit": subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
            ).stdout.strip(),
        }
        judged = judge(what, figures)
    finally:
        from django.db import connections

        connections.close_all()
        cluster.stop()
    (FOLDER / f"{what}.json").write_text(json.dumps(judged, indent=1, ensure_ascii=False) + "\n")
    print(table(judged))
    print(f"var/bench/{what}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
