"""Published checkpoints, outside the database beside the entries: with them a refilled log proves its old ones again.

`checkpoints/2026-11.jsonl` holds one JSON document a line, appended, on the disk before the next turn. A checkpoint to
which a cosignature or a token came later is written again, whole: of several lines of one size the last one counts. A
line that a crash cut short is passed over. Nothing here is believed: whoever reads it verifies every signature.
"""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from broker.audit.files import write_whole

AT_ONCE = 2_000  # checkpoints of one turn; the next goes on
OVERLAP = 60  # seconds looked at again: what is amended at one moment may be seen a moment later
ROW = "size, note, cosignatures, tsr, published_at, amended_at"
NEW = f"SELECT {ROW} FROM audit_checkpoint WHERE size > %s ORDER BY size LIMIT %s"
AMENDED = f"""
    SELECT {ROW} FROM audit_checkpoint
    WHERE amended_at > %s::timestamptz - %s * interval '1 s' AND size <= %s ORDER BY amended_at LIMIT %s
"""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint as it was published, and what came to it: lines of witnesses, the token of an authority."""

    size: int
    note: str
    cosignatures: str
    tsr: bytes | None
    published_at: datetime

    def line(self) -> str:
        document = {
            "size": self.size, "note": self.note, "cosignatures": self.cosignatures,
            "tsr": base64.b64encode(self.tsr).decode() if self.tsr else None,
            "published_at": self.published_at.astimezone(UTC).isoformat(),
        }  # fmt: skip
        return json.dumps(document, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, line: str) -> "Kept":
        """Raises ValueError, KeyError or TypeError on anything else than `line` wrote."""
        told: dict[str, Any] = json.loads(line)
        at = datetime.fromisoformat(told["published_at"])
        if not isinstance(told["size"], int) or at.tzinfo is None:
            raise ValueError("a size is a number and a time has its zone")
        token = base64.b64decode(told["tsr"], validate=True) if told["tsr"] is not None else None
        return cls(told["size"], str(told["note"]), str(told["cosignatures"]), token, at)


class Checkpoints:
    """The folder. One process writes into it."""

    def __init__(self, folder: Path):
        self.folder = Path(folder) / "checkpoints"
        self.mark = self.folder / "mark"  # the last size and the last amendment that were written
        self.told: dict[int, tuple[int, bool]] = {}  # size -> what had come to it when it was last written

    def follow(self, connection: psycopg.Connection) -> int:
        """Write what was published or amended since the last time; how many lines. Raises OSError."""
        size, amended = self._marked()
        rows = connection.execute(NEW, [size, AT_ONCE]).fetchall()
        again = connection.execute(AMENDED, [amended, OVERLAP, size, AT_ONCE]).fetchall()
        found = [
            (Kept(n, note, lines, bytes(tsr) if tsr else None, at), amended_at)
            for n, note, lines, tsr, at, amended_at in (*rows, *again)
        ]
        wanted = [one for one, _at in found if self.told.get(one.size) != self._came(one)]
        if not wanted:
            return 0
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for month in sorted({self._month(one) for one in wanted}):
            self._append(month, "".join(one.line() for one in wanted if self._month(one) == month))
        size = max([size, *(one.size for one, _at in found)])
        amended = max([amended, *(row[-1] for row in again)])
        write_whole(self.mark, json.dumps({"size": size, "amended_at": amended.isoformat()}).encode())
        self.told = {one.size: self._came(one) for one, at in found if at is not None}
        return len(wanted)

    def read(self) -> Iterator[Kept]:
        """Every line that can be read, month by month: of several of one size the last one counts."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        yield Kept.read(line)
                    except (ValueError, KeyError, TypeError):  # cut by a crash: the next turn wrote it again
                        continue

    @staticmethod
    def _came(one: Kept) -> tuple[int, bool]:
        return len(one.cosignatures), one.tsr is not None

    @staticmethod
    def _month(one: Kept) -> str:
        return f"{one.published_at.astimezone(UTC):%Y-%m}.jsonl"

    def _marked(self) -> tuple[int, datetime]:
        if not self.mark.exists():
            return 0, LONG_AGO
        marked = json.loads(self.mark.read_text())
        return marked["size"], datetime.fromisoformat(marked["amended_at"])

    def _append(self, month: str, lines: str) -> None:
        path = self.folder / month
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                file.write(b"\n")  # what a crash cut short ends here
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
