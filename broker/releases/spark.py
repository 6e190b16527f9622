"""The second engine: the plan's statements in Spark's dialect, run by a server through Spark Connect.

Same process, same job, same lines as `engine`, plus `spark` in the job: {"remote": "sc://host:port", "folder": a folder
that the server reads and writes too}. What touches a file stays with the embedded engine, so that both builds read the
same values and write the same way: it copies the source as text, each row with its line, into Parquet in that folder;
it writes the file from the sorted rows that the server streams back in batches, into the same pipe. In between,
every table of the plan is a Parquet folder there under the statement's name: servers keep no temporary table, and Sail
caches none. The folder holds clear identifiers, as spill files do: it goes at the end, whatever happened.

Keys stand in no statement: the pads of HMAC travel as a table of one row, `terrain_key`, which never is a file.
"""

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pyarrow
from pyspark.errors import PySparkException
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from broker.releases.dialects import spelled, text_of
from broker.releases.engine import Build, TablesBuild, pads
from broker.releases.plan import Statement

PATIENCE = 5  # seconds for a server to answer
TRIES = 5  # from 0.1 s, twice as long each time: a server that went away is given up after some seconds
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}


class ServerSilent(OSError):
    """No server answers at the address, or it went away in the middle."""


class ServerRefused(OSError):
    """The server could not carry out a statement. Its words may quote a value of the data: they are left out."""


@contextmanager
def _words_left_out() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise ServerSilent from (None if error.code() is None else _Kind(str(error.code())))
    except PySparkException as error:
        told = str(error)
        if "UNAVAILABLE" in told or "RETRIES_EXCEEDED" in told or "SESSION_CHANGED" in told:
            raise ServerSilent from None
        raise ServerRefused from _Kind(error.getCondition() or type(error).__name__)


class _Kind(Exception):
    """What kind of error it was, without its words."""


class Answer:
    """The rows of a query, as the embedded engine hands them over."""

    def __init__(self, table: pyarrow.Table):
        self.columns = [column.to_pylist() for column in table.columns]  # by place: two may have one name
        self.left = zip(*self.columns, strict=True)

    def fetchall(self) -> list[tuple]:
        return list(zip(*self.columns, strict=True))

    def fetchone(self) -> tuple | None:
        return next(zip(*self.columns, strict=True), None)

    def fetchmany(self, size: int) -> list[tuple]:
        """The next rows, `size` at most."""
        return list(itertools.islice(self.left, size))


class Session:
    """One session on the server, and the folder of its tables."""

    def __init__(self, remote: str, folder: Path):
        self.folder = folder
        channel = DefaultChannelBuilder(remote).toChannel()
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE)
        except grpc.FutureTimeoutError:
            raise ServerSilent from None
        finally:
            channel.close()
        with _words_left_out():
            self.spark = SparkSession(remote)
            policy = DefaultPolicy(max_retries=TRIES, initial_backoff=100, backoff_multiplier=2, max_backoff=5000)
            self.spark.client.set_retry_policies([policy])
            for name, value in SETTINGS.items():
                self.spark.conf.set(name, value)
            self.version = str(self.spark.version)

    def execute(self, sql: str) -> Answer:
        with _words_left_out():
            return Answer(self.spark.sql(spelled(sql, "spark")).toArrow())

    def make(self, name: str, sql: str) -> None:
        """Write what `sql` finds, and call it `name`."""
        with _words_left_out():
            found = self.spark.sql(spelled(sql, "spark"))
            found.write.mode("overwrite").parquet(str(self.folder / name))
            self.spark.read.schema(found.schema).parquet(str(self.folder / name)).createOrReplaceTempView(name)

    def take(self, name: str, path: Path) -> None:
        """Call `name` the Parquet file at `path`."""
        with _words_left_out():
            self.spark.read.parquet(str(path)).createOrReplaceTempView(name)

    def take_row(self, name: str, row: dict[str, Any]) -> None:
        """Call `name` a table of one row that is never a file."""
        with _words_left_out():
            table = pyarrow.table({key: [value] for key, value in row.items()})
            self.spark.createDataFrame(table).createOrReplaceTempView(name)

    def shape(self, sql: str) -> pyarrow.Schema:
        """The columns of `sql`."""
        with _words_left_out():
            return self.spark.sql(spelled(sql, "spark")).limit(0).toArrow().schema

    def batches(self, sql: str) -> Iterator[pyarrow.RecordBatch]:
        """The rows of `sql` in their order, a batch at a time: never the whole in this process."""
        with _words_left_out():
            frame: Any = self.spark.sql(spelled(sql, "spark"))  # its plan is not of its public face
            client = self.spark.client
            for part in client.to_table_as_iterator(frame._plan.to_proto(client), {}):
                if isinstance(part, pyarrow.Table):
                    yield from part.to_batches()

    def forget(self) -> None:
        """Leave a server that went away, without a word."""
        self.spark.release_session_on_close = False
        self.spark.stop()

    def close(self) -> None:
        """Stop what still runs for this session, and leave."""
        with contextlib.suppress(grpc.RpcError, PySparkException):
            self.spark.interruptAll()
        with contextlib.suppress(grpc.RpcError, PySparkException):
            self.spark.stop()


class OnSpark(Build):
    """What a build does otherwise when a server runs its statements."""

    dialect = "spark"

    @contextmanager
    def _connected(self) -> Iterator[Session]:
        folder = Path(self.job["spark"]["folder"]) / self.scratch.name
        session = Session(self.job["spark"]["remote"], folder)
        folder.mkdir(mode=0o700, parents=True)
        self.pads: dict[str, bytes] = {}
        leave = session.close
        try:
            yield session
        except ServerSilent:
            leave = session.forget
            raise
        finally:
            leave()
            shutil.rmtree(folder, ignore_errors=True)

    def run(self) -> dict:
        result = super().run()
        return {**result, "engine": {"spark": self.engine.version}}

    def _take(self, name: str, key: str) -> None:
        self.pads[f"{name}_inner"], self.pads[f"{name}_outer"] = pads(key)
        self.engine.take_row("terrain_key", self.pads)

    def _make(self, statement: Statement) -> None:
        if statement.name == "source" or statement.name.startswith("source_"):
            self._fill(statement.name, statement.sql)
        else:
            self.engine.make(statement.name, statement.sql)

    def _fill(self, name: str, sql: str, values: list | None = None) -> None:
        path = self.engine.folder / f"{name}.parquet"
        self.local.execute(f"COPY ({sql}) TO {text_of(str(path))} (FORMAT parquet)", values)
        self.engine.take(name, path)

    def _copy(self, query: str, fifo: Path) -> None:
        """The server gives the plan's rows in order; what `query` does to their cells is done here. A server may lose
        the order of a query within another (Sail does, beyond a batch)."""
        self._copy_batches(query, fifo, self.engine.batches(self.ordered))

    def _shape(self) -> pyarrow.Schema:
        return self.engine.shape(self.ordered)

    def _described(self, query: str) -> list[tuple[str, str]]:
        with self._relation(self.engine.shape(query).empty_table()) as rows:
            return super()._described(rows)


class SparkBuild(OnSpark):
    """One table."""


class SparkTablesBuild(OnSpark, TablesBuild):
    """Several tables."""
