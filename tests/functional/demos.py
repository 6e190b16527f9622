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


def three_free_ports() -> int:
    """The first of three ports in a row that nobody uses.

    Each test process looks in a stretch of its own: a demo listens only when its database is ready, a minute after it
    chose, and until then its ports look free to another."""
    own = 8300 + 30 * (os.getpid() % 50)
    for first in range(own, own + 30, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError(f"no three free ports between {own} and {own + 30}")


@dataclass
class Demo:
    """One demo under `var`, which stays inside the checkout as the real one does."""

    var: Path
    port: int = field(default_factory=three_free_ports)
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
            for line in up.stdout:
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
