"""A pytest plugin, loaded by `-p` before Django reads its settings: a real PostgreSQL for the tests.

The cluster's data stay between runs (var/test). A template database is migrated once for each state of the
migrations; each run, and each process of a parallel run, works in its own copy as the role `terrain_app`.
`DATABASE_URL` with a superuser's rights wins over the launcher.
"""

import gc
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.postgres import Cluster

gc.disable()  # until the tests are collected: what is loaded for them stays
ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("SECRET_KEY", "tests only")
os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1,localhost")
os.environ.setdefault("EMAIL_BACKEND", "django.core.mail.backends.locmem.EmailBackend")
os.environ.setdefault("TERRAIN_VAR", str(ROOT / "var" / "test" / f"files-{os.getpid()}"))
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
FILES = Path(os.environ["TERRAIN_VAR"])
(FILES / "static").mkdir(parents=True, exist_ok=True)

_cluster: Cluster | None = None


def cluster() -> Cluster:
    global _cluster
    if _cluster is None:
        # The sequencer waits for every transaction of its cluster: the processes of a parallel run each have their own.
        folder = Path(os.environ.get("TERRAIN_TEST_CLUSTER", ROOT / "var" / "test"))
        _cluster = Cluster(folder / os.environ.get("PYTEST_XDIST_WORKER", ""), fast=True).start()
    return _cluster


def _template() -> str:
    """The name of the migrated template, made when the migrations have changed."""
    digest = hashlib.sha256()
    for path in sorted(ROOT.glob("**/migrations/*")):
        if path.suffix in (".py", ".sql") and ".venv" not in path.parts:
            digest.update(path.name.encode() + path.read_bytes())
    name = "template_" + digest.hexdigest()[:16]
    with cluster().connect() as connection:
        connection.execute("SELECT pg_advisory_lock(871)")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            cluster().drop_database(name + "_new")
            cluster().create_database(name + "_new")
            environment = {**os.environ, "DATABASE_URL": cluster().url("terrain_owner", name + "_new")}
            for command in (["migrate", "-v0"], ["createcachetable"]):
                made = subprocess.run(
                    [sys.executable, "manage.py", *command],
                    cwd=ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                if made.returncode:
                    raise pytest.UsageError(f"manage.py {' '.join(command)} failed:\n{made.stdout}{made.stderr}")
            connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
        connection.execute("SELECT pg_advisory_unlock(871)")
    return name


TEMPLATE = _template()
DATABASE = f"test_{os.getpid()}"
os.environ["DATABASE_URL"] = cluster().url("terrain_app", DATABASE)
cluster().create_database(DATABASE, template=TEMPLATE)


def copied(source: Cluster, database: str, target: Cluster, name: str = "") -> None:
    """`database` as `pg_dump` and `psql` carry it from one cluster to another, where it is called `name`."""
    name = name or database
    target.create_database(name)
    settings: dict = {"env": {**os.environ, "LC_ALL": "C.UTF-8"}, "cwd": "/", "capture_output": True, "check": True}
    dump = subprocess.run(
        [str(source.bin / "pg_dump"), "-d", source.url("postgres", database), "--exclude-extension=*"],
        **settings, **source.drop,
    )  # fmt: skip
    command = [str(target.bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", target.url("postgres", name)]
    subprocess.run(command, input=dump.stdout, **settings, **target.drop)


def _leave() -> None:
    """Stop the server, unless another run in this checkout is at work on it."""
    with cluster().connect() as connection:
        others = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    if others == (0,):
        cluster().stop()


def pytest_sessionfinish(session):
    from django.db import connections

    connections.close_all()
    cluster().drop_database(DATABASE)
    _leave()
    shared = hasattr(session.config, "workerinput")  # with the processes of a parallel run: the first one tidies
    if FILES.is_relative_to(ROOT / "var" / "test") and not shared:
        shutil.rmtree(FILES, ignore_errors=True)
