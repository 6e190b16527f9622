"""The development PostgreSQL: its own folder, its own socket, no TCP, data that outlives a crash."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from deploy import postgres
from deploy.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("terrain_app", "terrain_auditor", "terrain_owner", "terrain_seq")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    # pytest's own folder is 0700: as root the launcher must find a place that `nobody` can reach, by itself
    made = Cluster(tmp_path_factory.mktemp("cluster")).start()
    yield made
    made.stop()
    _forget(made)


def _forget(cluster):
    """Remove what a cluster left, the folder under /var/tmp that the launcher chose included."""
    chosen = cluster.data.parts[:3] == ("/", "var", "tmp")
    shutil.rmtree(cluster.data.parent.parent if chosen else cluster.data.parent)


def _postmaster(cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().split()[0])


def test_data_outlives_a_killed_server(cluster):
    cluster.create_database("kept")
    with cluster.connect("terrain_owner", "kept") as connection:
        connection.execute("CREATE TABLE line AS SELECT generate_series(1, 1000) AS n")

    os.kill(_postmaster(cluster), signal.SIGKILL)
    cluster.start()

    with cluster.connect("terrain_app", "kept") as connection:
        assert connection.execute("SELECT count(*) FROM line").fetchone() == (1000,)


def test_a_database_is_made_once(cluster):
    assert cluster.create_database("once") is True
    assert cluster.create_database("once") is False


def test_the_roles_are_there_and_none_is_a_superuser(cluster):
    with cluster.connect() as connection:
        found = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles "
            "WHERE rolname LIKE 'terrain%'"
        ).fetchall()

    assert sorted(found) == [(role, False, False, False, False) for role in ROLES]


def test_the_application_cannot_change_the_schema(cluster):
    cluster.create_database("guarded")

    with cluster.connect("terrain_app", "guarded") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE intruder (n int)")


def test_only_the_socket_s_owner_may_knock_and_there_is_no_tcp(cluster):
    sockets = list(cluster.socket.glob(".s.PGSQL.*[0-9]"))

    assert [path.stat().st_mode & 0o777 for path in sockets] == [0o700]
    assert cluster.data.stat().st_mode & 0o777 == 0o700
    with cluster.connect() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_starting_twice_is_starting_once(cluster):
    before = _postmaster(cluster)

    Cluster(cluster.data.parent).start()

    assert _postmaster(cluster) == before


def test_what_an_interrupted_start_left_out_is_made_by_the_next(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("half"), fast=True)
    draft = cluster.data.with_name(cluster.data.name + ".new")
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").touch()

    cluster.start()

    try:
        assert not draft.exists()
        with cluster.connect() as connection:
            connection.execute("DROP ROLE terrain_auditor")
            connection.execute("CREATE DATABASE half OWNER terrain_owner")
        cluster.start()
        assert cluster.create_database("half") is False
        with cluster.connect("terrain_auditor", "half") as connection:
            found = {row[0] for row in connection.execute("SELECT extname FROM pg_extension")}
            assert set(postgres.EXTENSIONS) <= found
    finally:
        cluster.stop()
        _forget(cluster)


def test_the_extensions_of_the_house_are_there(cluster):
    cluster.create_database("extended")

    with cluster.connect("terrain_app", "extended") as connection:
        found = {row[0] for row in connection.execute("SELECT extname FROM pg_extension")}

    assert set(postgres.EXTENSIONS) <= found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_a_checkout_under_a_private_home_changes_no_folder(tmp_path):
    home = tmp_path / "home"
    (home / "checkout" / "var").mkdir(parents=True)
    home.chmod(0o700)
    before = {
        folder: folder.stat().st_mode for folder in (tmp_path, home, home / "checkout", home / "checkout" / "var")
    }

    cluster = Cluster(home / "checkout" / "var" / "demo", fast=True).start()

    try:
        assert cluster.data.parts[:3] == ("/", "var", "tmp")
        with cluster.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert {folder: folder.stat().st_mode for folder in before} == before
    finally:
        cluster.stop()
        shutil.rmtree(cluster.data.parent.parent)


@pytest.mark.parametrize("name", ["un dossier", "l'été, ici", "long" * 30])
def test_a_spaced_or_long_path_is_no_obstacle(name):
    top = Path(tempfile.mkdtemp(dir="/var/tmp"))
    top.chmod(0o755)
    (top / name).mkdir()

    cluster = Cluster(top / name, fast=True).start()

    try:
        assert cluster.data.is_relative_to(top)
        assert len(str(cluster.socket)) <= postgres.SOCKET_PATH_MAX
        with cluster.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        cluster.stop()
        shutil.rmtree(top)


def test_the_process_of_the_list_stops_with_its_signal(cluster):
    base = str(cluster.data.parent)
    watched = subprocess.Popen(
        [sys.executable, "-m", "deploy.postgres", base, "--watch"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert watched.stdout is not None
    assert watched.stdout.readline().startswith("PostgreSQL")

    watched.terminate()

    assert watched.wait(10) == 0
    assert cluster.running(), "who watches does not stop what somebody else started"


def test_a_private_umask_is_no_obstacle(tmp_path_factory):
    outside = tmp_path_factory.mktemp("umask") / "deep" / "deeper"

    before = os.umask(0o077)
    try:
        started = Cluster(outside, fast=True).start()
    finally:
        os.umask(before)

    with started.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    started.stop()
