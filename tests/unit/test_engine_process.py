"""What the engine's process says on its standard output: its own lines, and nothing of the library's."""

import subprocess
import sys

from tests.functional.demos import ROOT

ASKS = """
import duckdb
from broker.releases.engine import Build

build = Build.__new__(Build)
build.job, build.recipe = {"memory_mib": 64, "threads": 1}, {"personal": False}
build.scratch = __import__("pathlib").Path("nowhere")
with duckdb.connect() as build.local:
    before = build.local.execute("SELECT current_setting('enable_progress_bar')").fetchone()[0]
    build._configure()
    print(before, build.local.execute("SELECT current_setting('enable_progress_bar')").fetchone()[0])
"""


def test_no_progress_bar_is_drawn_among_the_lines_of_the_engine():
    # a process without a file of its own, as at a prompt: there the library draws one unless told otherwise
    said = subprocess.run([sys.executable, "-c", ASKS], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.split() == ["True", "False"]
