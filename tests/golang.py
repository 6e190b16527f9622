"""The Go verifier of the auditor's kit, built where Debian's packages stand (golang-go, golang-golang-x-mod-dev)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from broker.audit.bundle import KIT

PACKAGES = Path("/usr/share/gocode")


def lacking() -> str:
    """What to install, in one line; empty where Go stands."""
    there = shutil.which("go") and (PACKAGES / "src/golang.org/x/mod/sumdb").is_dir()
    return "" if there else "no Go here: apt-get install golang-go golang-golang-x-mod-dev"


def build(folder: Path) -> Path:
    """The program, built offline in `folder`; without Go the test is skipped."""
    if lacking():
        pytest.skip(lacking())
    program = folder / "verify-go"
    offline = {
        "GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOFLAGS": "", "GOPROXY": "off", "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "cache"), "PATH": os.environ["PATH"], "HOME": str(folder),
    }  # fmt: skip
    built = subprocess.run(
        ["go", "build", "-o", str(program), str(KIT / "verify.go")],
        env=offline,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return program


def judge(program: Path | str, bundles: list[Path], *options: str) -> list[str]:
    """What the program says of each bundle, in order: one line each, `OK …` or `FAIL …`."""
    done = subprocess.run([str(program), *options, *map(str, bundles)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(bundles), done.stderr
    assert (done.returncode == 0) == all(line.startswith("OK ") for line in lines)
    return lines
