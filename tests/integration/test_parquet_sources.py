"""Parquet sources: as they are sent, read by the real worker, built by the real engine. What does not fit is refused
with its column and its mend, and leaves nothing."""

import datetime as dt
import decimal
import gzip
import io
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from broker.parquet import relation
from tests.integration.test_bad_sources import keeps_its_good_version, last_refusal, peak_memory, published, send
from tests.integration.test_sources import dataset, empty, folders, on_disk, profiled, sealed, steward_of
from zones import actions, parquet, sealing, tasks
from zones.reading import Reading, accepted

__all__ = ["dataset", "empty", "folders", "published"]  # fixtures
pytestmark = pytest.mark.django_db
MIB = 1024 * 1024


def written(table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **options)
    return out.getvalue()


def read(dataset, content: bytes, reading=None):
    """The version that the worker makes of a Parquet file."""
    seal = sealing.Seal(dataset.zone, sealing.recipient_of(dataset.zone))
    seal.write(content)
    version = actions.add_version(
        dataset, by=steward_of(dataset.zone), sealed=seal.finish("stays.parquet"), reading=reading or Reading()
    )
    tasks.profile_version(version.pk)
    version.refresh_from_db()
    return version


STAYS = {"patient_id": [1, 2, 1] * 30, "age": [40, 41, 40] * 30, "city": ["Rouen"] * 90}
KINDS = {
    "whole": (pa.array([1, None, -3]), "integer"),
    "wide": (pa.array([2**64 - 1, 1, 2], pa.uint64()), "text"),
    "narrow": (pa.array([7, 1, 2], pa.uint64()), "integer"),
    "real": (pa.array([0.5, None, 1e10]), "number"),
    "keys_of_pandas": (pa.array([10.0, None, 12.0]), "integer"),
    "exact": (pa.array([decimal.Decimal("1.20"), None, decimal.Decimal("-3.45")], pa.decimal128(10, 2)), "number"),
    "day": (pa.array([dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]), "date"),
    "moment": (pa.array([1_704_103_200_000_000, None, None], pa.timestamp("us")), "timestamp"),
    "with_zone": (pa.array([1_704_099_600_000, None, None], pa.timestamp("ms", "Europe/Paris")), "timestamp"),
    "nanoseconds": (pa.array([1, 2, None], pa.timestamp("ns")), "timestamp"),
    "truth": (pa.array([True, False, None]), "text"),
    "nothing_of_pandas": (pa.nulls(3), "empty"),
    "words": (pa.array(["é", "?", ""]), "text"),
    "codes": (pa.array(["01", "02", "?"]).dictionary_encode(), "text"),
}


def test_the_types_that_the_file_declares_are_kept_and_marks_are_of_texts_alone(empty, settings):
    content = written({name: array for name, (array, _kind) in KINDS.items()})

    version = read(empty, content, Reading(missing=("?", "7")))

    assert version.status == "profiled", version.problem
    assert version.rows == 3
    seen = {c.name: c.type for c in empty.columns.all()}
    assert seen == {name: kind for name, (_array, kind) in KINDS.items()}
    missing = {c.name: c.profile["missing"] for c in empty.columns.all()}
    assert (missing["words"], missing["codes"], missing["narrow"], missing["whole"]) == (2, 1, 0, 1)
    assert on_disk(settings.SCRATCH) == []


def test_every_value_is_the_text_that_a_csv_would_hold(tmp_path):
    import duckdb

    path = tmp_path / "t.parquet"
    path.write_bytes(written({name: array for name, (array, _kind) in KINDS.items()}))
    order = {"path": str(path), "scratch": str(tmp_path), "memory": 256, "limits": LIMITS}
    told = parquet.check(order)

    reading = {"types": told["types"], "missing": ["?"]}
    engine = duckdb.connect()
    rows = engine.execute(f"SELECT * FROM {relation(str(path), reading, line='line')}").fetchall()

    assert rows[0] == (
        1, "1", "18446744073709551615", "7", "0.5", "10", "1.20", "2024-02-29", "2024-01-01 10:00:00",
        "2024-01-01 09:00:00", "1970-01-01 00:00:00", "true", None, "é", "01",
    )  # fmt: skip
    assert rows[1][0] == 2 and rows[1][-2:] == (None, "02")


LIMITS = {
    "columns": 1000, "rows": 10**9, "clear_bytes": 2**34, "ratio": 300, "ratio_from": 2**26, "line_bytes": 2**20,
    "name_signs": 120,
}  # fmt: skip


def broken(content: bytes, at: int, what: bytes) -> bytes:
    return content[:at] + what + content[at + len(what) :]


def huge_page() -> bytes:
    """A page that declares 2^31 - 1 bytes once opened: the size in its header is written anew (Thrift compact)."""
    content = written({"patient_id": ["x" * 50 + str(n) for n in range(9)]}, compression="snappy", use_dictionary=False)
    assert content[4:7] == b"\x15\x00\x15", "type of page, then its size"
    end = 7
    while content[end] & 0x80:
        end += 1
    return content[:7] + b"\xfe\xff\xff\xff\x0f" + content[end + 1 :]


GOOD = written(STAYS)
BAD_TEXT = pa.table(
    {
        "city": pa.Array.from_buffers(
            pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
        )
    }
)
UNREADABLE = {
    "cut short": (GOOD[:-30], "sa fin manque"),
    "a footer longer than the file": (broken(GOOD, len(GOOD) - 8, b"\xff\xff\xff\x7f"), "pied du fichier"),
    "a footer of noise": (broken(GOOD, len(GOOD) - 60, b"\xee" * 50), "pied du fichier"),
    "a page of noise": (broken(GOOD, 20, b"\xee" * 60), "une page du fichier est abîmée"),
    "a structure": (written({"a": [{"x": 1}, {"x": 2}]}), "« a » contient une structure (STRUCT"),
    "a list": (written({"b": [[1], [2]]}), "« b » contient une structure (BIGINT[]"),
    "a map": (written({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}), "« m » contient une structure"),
    "bytes": (written({"photo": [b"\xff\x00"]}), "« photo » contient des octets"),
    "text that is not UTF-8": (written(BAD_TEXT), "« city » contient des octets qui ne sont pas du texte UTF-8"),
    "columns equal after case folding": (written({"Age": [1], "age": [2]}), "1 et 2 ont le même nom « age »"),
    "a column without a name": (written({"": [1], "age": [2]}), "Le nom de la colonne 1 est vide"),
    "a name that hides a sign": (written({"a\x1b[2J": [1]}), "Le nom de la colonne 1"),
    "a name of the engine's": (written({"File_Row_Number": [1]}), "« File_Row_Number » est un nom que le lecteur"),
    "ten thousand columns": (written({f"c{n}": [1] for n in range(10_000)}), "10000 colonnes : 1000 au plus"),
    "no row": (written({"a": pa.array([], pa.int64())}), "aucune ligne de données"),
    "a null byte": (written({"a": ["x\0y"]}), "octet nul"),
    "a cell over the limit": (written({"a": ["x", "y" * (MIB + 1)]}), "Ligne 2, colonne « a » : une valeur dépasse"),
    "an unknown column": (written({**STAYS, "hiv": [1] * 90}), "nouvelles : hiv"),
    "NaN": (written({"a": [1.5, 2.0, math.nan, math.inf]}), "Colonne « a », dès la ligne 3"),
    "a date outside the calendar": (
        written({"d": pa.array([0, 2**31 - 1, -(2**31) + 2], pa.date32())}), "Colonne « d », dès la ligne 2",
    ),
    "a moment outside the calendar": (
        written({"t": pa.array([0, 2**62], pa.timestamp("us"))}), "Colonne « t », dès la ligne 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_parquet_file_that_does_not_fit_is_refused_with_its_place_and_mend(published, settings, what):
    content, message = UNREADABLE[what]

    answer, version = send(published, content, "stays.parquet")

    assert answer.status_code == 302
    assert version.status == "refused" and message in version.problem, version.problem
    assert message in last_refusal()["problem"]
    keeps_its_good_version(published, settings)


AT_THE_DOOR = {
    "a text by that name": ("stays.parquet", b"patient_id,age\n1,40\n" * 9, "ne commence pas comme"),
    "an encrypted file": ("stays.parquet", b"PARE" + b"x" * 99 + b"PARE", "Parquet est chiffré"),
    "Parquet named CSV": ("stays.csv", GOOD, "Donnez-lui un nom en .parquet"),
    "Parquet within gzip": ("stays.parquet.gz", gzip.compress(GOOD), "n'est pas un fichier lisible ici"),
}


@pytest.mark.parametrize("what", AT_THE_DOOR)
def test_a_file_that_is_not_what_its_name_says_is_turned_away_at_the_form(published, settings, what):
    name, content, message = AT_THE_DOOR[what]

    answer, version = send(published, content, name)

    assert (answer.status_code, version) == (422, None)
    assert message.replace("'", "&#x27;") in answer.content.decode()
    assert len(on_disk(settings.SOURCES)) == 1
    keeps_its_good_version(published, settings)


def test_a_page_that_declares_two_gigabytes_is_refused_in_bounded_memory(published, settings):
    found: dict = {}

    held = peak_memory(lambda: found.update(version=send(published, huge_page(), "stays.parquet")[1]))

    assert found["version"].status == "refused", "a page that declares what it does not hold"
    assert "« patient_id »" in found["version"].problem or "pied" in found["version"].problem
    assert held < 64 * MIB
    keeps_its_good_version(published, settings)


def test_a_billion_equal_rows_in_a_few_bytes_are_read_within_the_limits(empty):
    content = written({"a": pa.array([7], pa.int64()).take(pa.array([0] * 3_000_000)), "b": ["x"] * 3_000_000})

    version = read(empty, content)

    assert version.status == "profiled" and version.rows == 3_000_000


def test_values_that_are_none_are_missing_once_a_person_says_so(empty):
    first = read(
        empty,
        written({"a": [1.5, math.nan, -math.inf, 2.5] * 9, "d": pa.array([0, 2**31 - 1, 5, None] * 9, pa.date32())}),
    )
    assert first.status == "refused"
    assert first.proposed == {"absent": {"a": {"kind": "number", "n": 18}, "d": {"kind": "date", "n": 9}}}

    second = actions.reread_version(
        first, by=steward_of(empty.zone), reading=accepted(Reading.of(first.reading), first.proposed)
    )
    tasks.profile_version(second.pk)
    second.refresh_from_db()

    assert second.status == "profiled", second.problem
    assert {c.name: c.profile["missing"] for c in empty.columns.all()} == {"a": 18, "d": 18}
    assert second.reading["mended"]["absent"] == first.proposed["absent"]


def test_a_csv_whose_numbers_hold_nan_or_dates_that_never_were_is_mended_the_same_way(empty):
    first = profiled(sealed(empty, b"n,d\n" + b"1.5,2024-02-28\nNaN,2024-02-30\n-inf,0000-00-00\n2,9999-12-31\n" * 9))
    assert first.proposed == {"absent": {"n": {"kind": "number", "n": 18}, "d": {"kind": "date", "n": 18}}}
    assert {c.name: c.type for c in empty.columns.all()} == {"n": "text", "d": "text"}

    second = profiled(
        actions.reread_version(
            first, by=steward_of(empty.zone), reading=accepted(Reading.of(first.reading), first.proposed)
        )
    )

    assert {c.name: (c.type, c.profile["missing"]) for c in empty.columns.all()} == {
        "n": ("number", 18),
        "d": ("date", 18),
    }
    assert second.reading["mended"]["absent"] == first.proposed["absent"] and not second.proposed
