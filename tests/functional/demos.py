"""A demo of a test's own: `make demo ONCE=1` on other ports, in its own folder, with real processes.

`sabotage` is Python source that every process runs first: it breaks one guard, and the story must notice.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 600  # seconds: a story on a busy machine


def as_a_newcomer_has_it() -> dict[str, str]:
    """The environment without what the tests set for themselves: the demo makes its own secrets and folders."""
    ours = ("TERRAIN_", "DJANGO_", "SECRET_", "ALLOWED_", "EMAIL_", "DATABASE_", "PYTHONPATH", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


PORTS = 4  # pages, downloads, time stamps, witness


def free_ports() -> int:
    """The first of four ports in a row that nobody uses.

    Each test process looks in a stretch of its own: a demo listens only when its database is ready, a minute after it
    chose, and until then its ports look free to another."""
    own = 8300 + 32 * (os.getpid() % 50)
    for first in range(own, own + 32, PORTS):
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError(f"no {PORTS} free ports in a row between {own} and {own + 32}")


@dataclass
class Demo:
    """One demo under `var`, which stays inside the checkout as the real one does."""

    var: Path
    port: int = field(default_factory=free_ports)
    said: str = ""

    @property
    def summary(self) -> dict:
        return json.loads((self.var / "summary.json").read_text())

    def play(self, *options: str, sabotage: str = "") -> int:
        """Run it once; return its exit status. What it printed is in `said`."""
        environment = {**as_a_newcomer_has_it(), "TERRAIN_PORT": str(self.port)}
        if sabotage:
            folder = self.var.parent / (self.var.name + "-sabotage")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "sitecustomize.py").write_text(sabotage)
            environment["PYTHONPATH"] = str(folder)
        command = [sys.executable, "-m", "deploy.demo.start", "--once", "--var", str(self.var), *options]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LONGEST,
        )  # fmt: skip
        self.said = done.stdout
        if done.returncode:
            self.said += self.log_of_the_worker()
        return done.returncode

    def log_of_the_worker(self) -> str:
        """The end of what the worker wrote: why a build stopped, when the story says only that it did."""
        log = self.var / "log" / "worker.log"
        return "\n" + log.read_text(errors="replace")[-4000:] if log.exists() else ""

    @contextmanager
    def serving(self):
        """The played demo up again, as `make demo` leaves it, until the block ends."""
        environment = {**as_a_newcomer_has_it(), "TERRAIN_PORT": str(self.port)}
        command = [sys.executable, "-m", "deploy.demo.start", "--var", str(self.var)]
        up = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            self.said = ""
            for line in up.stdout:
                self.said += line
                if line.startswith("Le site"):
                    break
            else:
                raise AssertionError("the demo did not start again")
            yield f"http://127.0.0.1:{self.port}"
        finally:
            up.terminate()
            up.communicate(timeout=60)

    def remove(self) -> None:
        cluster = Cluster(self.var)
        cluster.stop()
        if not cluster.data.is_relative_to(self.var):
            shutil.rmtree(cluster.data.parent, ignore_errors=True)
        for folder in (self.var, self.var.parent / (self.var.name + "-sabotage")):
            shutil.rmtree(folder, ignore_errors=True)


def new(name: str) -> Demo:
    demo = Demo(ROOT / "var" / "test" / f"demo-{name}-{os.getpid()}")
    demo.remove()
    return demo


PREPARE = """
import sys
from pathlib import Path
from deploy.demo.start import Demo, prepare
from deploy.postgres import Cluster

demo = Demo(var=Path(sys.argv[1]), port=int(sys.argv[2]))
demo.load_secrets()
cluster = Cluster(demo.var).start()
try:
    prepare(demo, cluster)
finally:
    cluster.stop()
"""


@contextmanager
def prepared(name: str):
    """A maker of demos whose database is migrated and whose cast is there already: `make(name)`.

    What each start would do alike is done once, by the code that starts a demo; the copies are played from there.
    """
    first = new(name)
    subprocess.run(
        [sys.executable, "-c", PREPARE, str(first.var), str(first.port)], cwd=ROOT, env=as_a_newcomer_has_it(),
        check=True, timeout=LONGEST,
    )  # fmt: skip

    def make(name: str) -> Demo:
        demo = new(name)
        if Cluster(first.var).data.is_relative_to(first.var):  # else PostgreSQL keeps its data apart: start anew
            subprocess.run(["cp", "-a", str(first.var), str(demo.var)], check=True)
        return demo

    yield make
    first.remove()
