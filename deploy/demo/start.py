"""`make demo`: start everything, play the story over HTTP, serve until Ctrl-C; with `--once`, stop when it is told.

One process list for the demo; production has the same one as systemd units (deploy/systemd). Every process gets
its own DATABASE_URL, and only the worker knows the key store. The first death stops all.
"""

import argparse
import hashlib
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from honcho.manager import Manager
from honcho.printer import Message

from broker.audit.kit import witness
from broker.audit.kit.witness import Witness
from deploy import tsa
from deploy.demo import cast, machine, run, seal
from deploy.demo.people import StepFailed
from deploy.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
HEALTHY_WITHIN = 60  # seconds from the start of the processes
DATABASE = "terrain"
KEPT = frozenset({"env", "log", "tsa", "static"})  # what a demo that begins again does not make anew


@dataclass
class Demo:
    """One demo: its folder, its ports, its secrets."""

    var: Path
    port: int
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def delivery(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def tsa(self) -> str:
        return f"http://127.0.0.1:{self.port + 2}/"

    @property
    def witness_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 3}"

    @property
    def witness(self) -> Witness:
        """The partner that cosigns the demo's log, its key made at the first call."""
        return Witness(self.var / "witness", "temoin.demonstration/w1")

    def load_secrets(self) -> None:
        """Read var/demo/env, making at the first start what must stay the same afterwards; mode 0600."""
        path = self.var / "env"
        self.var.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        known = dict(line.split("=", 1) for line in lines if "=" in line)
        self.secrets = {
            "SECRET_KEY": known.get("SECRET_KEY") or secrets.token_urlsafe(48),
            "DEMO": "1",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "SITE_URL": self.site,
            "DELIVERY_URL": self.delivery,
            "TERRAIN_VAR": str(self.var),
            "TERRAIN_SIGNER_SOCKET": str(self._socket_folder() / "signer.sock"),
            "TERRAIN_TSA_URL": self.tsa,
            "TERRAIN_TSA_CERTIFICATE": str(self.var / "tsa" / "tsa.crt"),
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        }
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text("".join(f"{name}={value}\n" for name, value in self.secrets.items()))

    def _socket_folder(self) -> Path:
        """Where the signer listens: the kernel takes no socket path over 107 bytes."""
        return self.var if len(str(self.var)) < 85 else self.cluster_socket()

    def cluster_socket(self) -> Path:
        return Cluster(self.var).socket

    def environment(self, database_url: str, **more: str) -> dict[str, str]:
        """What one process sees: the secrets, its own database role, nothing left over from the caller's shell."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TERRAIN_")}
        for name in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL"):
            inherited.pop(name, None)
        path = os.pathsep.join(part for part in (str(ROOT), inherited.get("PYTHONPATH", "")) if part)
        inherited |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path, "TZ": "UTC"}
        told = {"DATABASE_URL": database_url, "TERRAIN_WITNESSES": f"{self.witness} {self.witness_url}"}
        return inherited | self.secrets | told | more


def processes(demo: Demo, cluster: Cluster) -> dict[str, tuple[list[str], dict[str, str]]]:
    """The process list: name, command, environment. A name tells the same process in deploy/systemd."""
    python = sys.executable
    app = demo.environment(cluster.url("terrain_app", DATABASE))
    # requests in flight get three seconds at the stop; a thread each, since a page waits mostly for the database
    gunicorn = [python, "-m", "gunicorn", "--worker-class", "gthread", "--graceful-timeout", "3", "--log-level",
                "warning", "--worker-tmp-dir", str(demo.var), "--no-control-socket"]  # fmt: skip
    manage = [python, "manage.py"]
    worker = [*manage, "procrastinate", "worker", "--concurrency"]
    keyed = demo.environment(
        cluster.url("terrain_app", DATABASE), TERRAIN_KEY_STORE=str(demo.var / "keys"),
        TERRAIN_SEAL_KEY=str(seal.identity(demo.var / "seal.pem")),
    )  # fmt: skip
    return {
        "postgres": ([python, "-m", "deploy.postgres", str(demo.var), "--watch"], app),
        "web": (
            # the last --worker-class counts; broker/turns.py says why a connection carries one page
            [*gunicorn, "--worker-class", "broker.turns.PageWorker", "--workers", "2", "--threads", "8",
             "--keep-alive", "0", "--env", "DATABASE_POOL=8", "--timeout", "120", "--bind",
             f"127.0.0.1:{demo.port}", "broker.wsgi:application"],
            app,
        ),
        "delivery": (
            [*gunicorn, "--threads", "8", "--timeout", "60", "--bind", f"127.0.0.1:{demo.port + 1}",
             "broker.releases.delivery:application"],
            app,
        ),
        "worker": ([*worker, "1", "--queues", "builds", "--name", "worker"], keyed),
        # What concerns persons, and keys: never behind a build, which may last.
        "subjects": ([*worker, "2", "--queues", "subjects,keys", "--name", "subjects"], keyed),
        "jobs": ([*worker, "2", "--queues", "mail,clock", "--name", "jobs"], app),
        "sequencer": ([*manage, "sequencer"], demo.environment(cluster.url("terrain_seq", DATABASE))),
        "signer": ([*manage, "signer"], demo.environment(cluster.url("terrain_auditor", DATABASE))),
        "tsa": ([python, "-m", "deploy.tsa", str(demo.var / "tsa"), str(demo.port + 2)], app),
        # A partner's, as they would run it: the file alone.
        "witness": (
            [python, "-I", str(Path(witness.__file__)), str(demo.var / "witness"), "--nom", demo.witness.name,
             "--journal", f"{demo.site}/log/cle", "--ecoute", f"127.0.0.1:{demo.port + 3}"],
            app,
        ),
    }  # fmt: skip


class Log:
    """honcho's printer: every line goes to var/demo/log/<process>.log, the end of each is kept for the last words."""

    width = 0

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.tails: dict[str, list[str]] = {}

    def write(self, message: Message) -> None:
        text = message.data if isinstance(message.data, str) else message.data.decode(errors="replace")
        with (self.folder / f"{message.name}.log").open("a") as out:
            out.write(f"{message.time:%H:%M:%S} {text.rstrip()}\n")
        tail = self.tails.setdefault(message.name, [])
        tail.append(text.rstrip())
        del tail[:-25]


def say(text: str = "") -> None:
    print(text, flush=True)


def begin_again(demo: Demo, cluster: Cluster) -> None:
    """A story half told cannot go on: empty the demo, unless a whole story and its database are both there."""
    is_new = cluster.create_database(DATABASE)
    if run.played(demo.var) and not is_new:
        return
    if not is_new and not (demo.var / run.BEGUN).exists():
        return
    if not is_new:
        say("L'histoire précédente s'était arrêtée en route : elle reprend du début.")
        cluster.drop_database(DATABASE)
        cluster.create_database(DATABASE)
    for path in demo.var.iterdir():
        if path.name not in KEPT and not path.name.startswith("pg"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def state_of_the_code() -> str:
    """A digest of what `prepare` reads: migrations, static files, messages, the cast, the requirements."""
    digest = hashlib.sha256()
    for pattern in ("*/migrations/*", "broker/*/migrations/*", "static/**/*", "locale/**/*.po", "requirements/run.txt",
                    "deploy/demo/cast.py"):  # fmt: skip
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path.suffix != ".pyc":
                facts = path.stat()
                digest.update(f"{path.relative_to(ROOT)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def prepare(demo: Demo, cluster: Cluster) -> None:
    """Database, roles, migrations, static files, messages, cast."""
    begin_again(demo, cluster)
    (demo.var / "mail").mkdir(exist_ok=True)
    (demo.var / "keys").mkdir(mode=0o700, exist_ok=True)
    tsa.identity(demo.var / "tsa")  # before whoever verifies with its certificate
    mark, state = demo.var / "prepared", state_of_the_code()
    if mark.exists() and mark.read_text() == state:
        return  # nothing to migrate, collect or compile since: a second start is quick
    steps = (
        ([sys.executable, "-m", "deploy.demo.prepare"], "terrain_owner"),
        ([sys.executable, "manage.py", "seed_cast"], "terrain_app"),
    )
    for command, role in steps:
        done = subprocess.run(
            command, cwd=ROOT, env=demo.environment(cluster.url(role, DATABASE)), capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"terrain : {shlex.join(command[1:])} a échoué\n{done.stdout}{done.stderr}")
    mark.write_text(state)


def wait_until_healthy(demo: Demo, stopping: threading.Event) -> None:
    """Until the web says that the database answers and the two other ports speak HTTP."""
    limit = time.monotonic() + HEALTHY_WITHIN
    wanted = {demo.site + "/sante/": {200}, demo.delivery + "/sante/": {200, 404}, demo.tsa: {501}}
    while wanted:
        for url, statuses in list(wanted.items()):
            try:
                if httpx.get(url, timeout=5, trust_env=False).status_code in statuses:
                    del wanted[url]
            except httpx.TransportError:
                pass
        if wanted and time.monotonic() > limit:
            raise StepFailed(f"sans réponse après {HEALTHY_WITHIN} s : {', '.join(wanted)}")
        if stopping.wait(0.1):
            raise StepFailed("un processus s'est arrêté")


def _wide(text: str, width: int) -> str:
    """`text` padded to `width` signs as a terminal shows them."""
    shown = sum(0 if unicodedata.combining(sign) else 1 for sign in text)
    return text + " " * max(0, width - shown)


def cast_table(demo: Demo) -> str:
    kept = json.loads((demo.var / "cast.json").read_text())
    rows = [("qui", "adresse", "mot de passe", "voit", "à regarder d'abord")]
    for one in cast.CAST:
        if kept[one.key]["totp"]:
            who = f"{one.full_name}, {one.title}"
            rows.append((who, one.email, kept[one.key]["password"], one.sees, one.look_first))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["  ".join(_wide(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def recompute(demo: Demo) -> str:
    """Run the second program on the summary; its last words when it disagrees, empty when it agrees."""
    command = [sys.executable, "tests/recompute.py", str(demo.var / "summary.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-3000:]


@dataclass
class Told:
    """What the telling thread leaves to the main one."""

    failed: str = ""
    over: bool = False  # the teller stops the processes; else a death or a signal did


def tell(demo: Demo, asked, told: Told, stopping: threading.Event) -> None:
    """Wait for the processes, play what was not played, print the table. The main thread watches the processes."""
    try:
        begun = time.monotonic()
        wait_until_healthy(demo, stopping)
        say(f"Les processus répondent ({time.monotonic() - begun:.1f} s).")
        if run.played(demo.var):
            say("L'histoire est déjà jouée ; `rm -r var/demo` pour la rejouer.")
        elif not asked.no_story:
            chosen = [room for room in asked.rooms.split(",") if room] or None
            summary = run.run(
                var=demo.var, site=demo.site, delivery=demo.delivery, until=asked.until, chosen=chosen, out=say
            )
            told.failed = summary["failed"]
            say(f"Histoire : {len(summary['steps'])} étapes, {summary['seconds_total']:.1f} s.")
        if not told.failed and asked.once and run.told_a_release(demo.var):
            disagreement = recompute(demo)
            told.failed = disagreement
            say("Le second programme " + ("n'est pas d'accord." if disagreement else "est d'accord."))
    except StepFailed as error:
        told.failed = str(error)
    except Exception as error:
        told.failed = f"{type(error).__name__}: {error}"
        raise


def serve(asked) -> int:
    demo = Demo(var=asked.var.absolute(), port=machine.port())
    for line in machine.problems():
        raise SystemExit("terrain : " + line)
    demo.load_secrets()
    begun = time.monotonic()
    cluster = Cluster(demo.var)
    log = Log(demo.var / "log")
    try:
        cluster.start()
        prepare(demo, cluster)
        say(f"PostgreSQL {cluster.major} et la base sont prêts ({time.monotonic() - begun:.1f} s).")
        return watch(demo, cluster, log, asked)
    finally:
        cluster.stop()


def watch(demo: Demo, cluster: Cluster, log: Log, asked) -> int:
    """Run the processes under honcho's manager, tell the story beside it; 0 only if all held."""
    manager = Manager(log)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    for name, (command, environment) in processes(demo, cluster).items():
        manager.add_process(name, "exec " + shlex.join(command), env=environment, cwd=str(ROOT))
    told, stopping = Told(), threading.Event()

    def beside() -> None:
        while not manager._all_started():  # the manager forks first: no thread of ours may be at work then
            if stopping.wait(0.1):
                return
        tell(demo, asked, told, stopping)
        if stopping.is_set():
            return
        if told.failed:
            say(f"\nterrain : {told.failed}")
        elif not asked.once:
            say("\n" + cast_table(demo))
            say(f"\nLe second facteur de chacun : {demo.site}/demo/\nLe site : {demo.site}   (Ctrl-C arrête tout)")
            return
        told.over = True
        manager.terminate()

    threading.Thread(target=beside, name="teller", daemon=True).start()
    try:
        manager.loop()
    finally:
        stopping.set()
    if told.over:
        return 1 if told.failed else 0
    if manager.returncode in (130, 143):  # somebody asked: with --once the story is then not told to its end
        say("Tout est arrêté.")
        return int(manager.returncode) if asked.once else 0
    _blame(manager, log)
    return 1


def _blame(manager: Manager, log: Log) -> None:
    """Say which process stopped first, with its last words."""
    said = [line for line in log.tails.get("system", []) if "stopped (rc=" in line]
    first = said[0].split()[0] if said else "?"
    last = "\n  ".join(log.tails.get(first, ["(rien)"])[-12:])
    say(f"\nterrain : le processus {first} s'est arrêté, donc tout s'arrête. Ses derniers mots :\n  {last}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="stop when the story is told; 0 only if every step held")
    parser.add_argument("--var", type=Path, default=Path(os.environ.get("TERRAIN_DEMO_VAR", ROOT / "var" / "demo")))
    parser.add_argument("--until", default="", help="stop after the step of this number or these words")
    parser.add_argument("--rooms", default="", help="play these rooms only, separated by commas")
    parser.add_argument("--no-story", action="store_true", help="serve without playing")
    asked = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # until honcho's manager takes over: leave through `finally`
        signal.signal(number, lambda *_: sys.exit(143))
    try:
        return serve(asked)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
