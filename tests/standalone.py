"""A Spark standalone master with two workers and its Connect server, on this machine, while a command runs:

    python -m tests.standalone FOLDER COMMAND…

FOLDER holds a Spark of its own (`make test-spark` installs it); the command reads TERRAIN_TEST_SPARK, the server's
address. Ports are free ones, on the loopback alone; everything is stopped at the end, by its own number.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 300  # seconds for the server to answer
WORKER_MIB, DRIVER_MIB = 1024, 1024


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def home_of(folder: Path) -> Path:
    found = sorted(folder.glob("lib/python3*/site-packages/pyspark"))
    if not found:
        sys.exit(f"no Spark below {folder}: make test-spark installs it")
    return found[0]


def commands(home: Path, work: Path, master: int, server: int) -> dict[str, list[str]]:
    """What is started, in order, by its name."""
    run, address = str(home / "bin" / "spark-class"), f"spark://127.0.0.1:{master}"
    deploy = "org.apache.spark.deploy"
    worker = [run, f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "-c", "1",
              "-m", f"{WORKER_MIB}m"]  # fmt: skip
    options = {
        "spark.executor.memory": f"{WORKER_MIB - 256}m", "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": str(server),
        "spark.io.encryption.enabled": "true", "spark.cores.max": "2",
    }  # fmt: skip
    configured = [part for name, value in options.items() for part in ("--conf", f"{name}={value}")]
    return {
        "master": [run, f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(master), "--webui-port", "0"],
        "worker-1": [*worker, "-d", str(work / "worker-1"), address],
        "worker-2": [*worker, "-d", str(work / "worker-2"), address],
        "connect": [
            str(home / "bin" / "spark-submit"), "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
            "--master", address, "--driver-memory", f"{DRIVER_MIB}m", *configured, "spark-internal",
        ],
    }  # fmt: skip


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def main() -> int:
    folder, command = Path(sys.argv[1]).resolve(), sys.argv[2:]
    home, work = home_of(folder), folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    master, server = free_port(), free_port()
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1",
                   "SPARK_LOCAL_DIRS": str(work / "local")}  # fmt: skip
    running: list[subprocess.Popen] = []
    try:
        for name, started in commands(home, work, master, server).items():
            with (work / f"{name}.log").open("wb") as log:
                process = subprocess.Popen(started, env=environment, cwd=work, stdout=log, stderr=log)
            running.append(process)
            while name == "master" and not answers(master) and process.poll() is None:
                time.sleep(0.2)
        end = time.monotonic() + PATIENCE
        while not answers(server):
            if time.monotonic() > end or any(process.poll() is not None for process in running):
                print(f"Spark did not start: see {work}/*.log", file=sys.stderr)
                return 1
            time.sleep(0.5)
        registered = (work / "master.log").read_text(errors="replace").count("Registering worker")
        print(f"Spark answers on port {server}, {registered} workers registered", flush=True)
        told = {**os.environ, "TERRAIN_TEST_SPARK": f"sc://127.0.0.1:{server}"}
        return subprocess.run(command, env=told, check=False).returncode
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(work / "local", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
