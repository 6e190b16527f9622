"""A Spark Connect server for tests: Sail in a process of its own, with a limit on its memory, or the one of the address
in TERRAIN_TEST_SPARK (`make test-spark`).

    with servers.sail() as server:
        job["spark"] = {"remote": server.remote, "folder": ...}
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEMORY_MIB = 4096  # of address space: the same server once took the 24 GB of a machine


@dataclass
class Server:
    remote: str
    process: subprocess.Popen | None = None

    def kill(self) -> None:
        assert self.process is not None, "only a server of the test's own is killed"
        self.process.kill()
        self.process.wait()

    @property
    def peak_mib(self) -> int:
        """The most memory the server held."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


@contextmanager
def sail(*, memory_mib: int = MEMORY_MIB, log: Path | None = None) -> Iterator[Server]:
    """A server of Sail's on a free port; what it says, at its most talkative, goes to `log`."""
    environment = {**os.environ, "RUST_LOG": "debug" if log else "error"}
    with (log or Path(os.devnull)).open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers", str(memory_mib)], env=environment,
            cwd=Path(__file__).resolve().parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        assert process.stdin and process.stdout
        try:
            port = process.stdout.readline().decode().strip()
            assert port.isdigit(), "the server did not start"
            yield Server(f"sc://127.0.0.1:{port}", process)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


@contextmanager
def any_server() -> Iterator[Server]:
    """The server that the tests were told of, or one of Sail's."""
    if remote := os.environ.get("TERRAIN_TEST_SPARK"):
        yield Server(remote)
    else:
        with sail() as server:
            yield server


def main() -> None:
    """Serve until standard input ends, the whole in the megabytes of the first argument."""
    limit = int(sys.argv[1]) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    print(server.listening_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
