"""Files made to harm, or harmful by accident: each goes through the real upload and the real worker.

Nothing is kept of what is refused, the message names the mend, and no act takes more memory than a few blocks.
Formulas of spreadsheets are the business of what leaves, not of what arrives.
"""

import gzip
import io
import zipfile

import pytest

from tests.actors import signed_in
from tests.integration.test_bad_sources import (
    HEAD,
    MIB,
    ROW,
    blocks,
    keeps_its_good_version,
    last_refusal,
    peak_memory,
    published,
    send,
)
from tests.integration.test_sources import (
    dataset,
    empty,
    folders,
    on_disk,
    profiled,
    sealed,
    steward_of,
)

__all__ = ["dataset", "empty", "folders", "published"]  # fixtures
pytestmark = pytest.mark.django_db


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/cron.d/stays.csv", content)
    return out.getvalue()


NAMES = {
    "a path upward": ("../../../etc/cron.d/stays.csv", "stays.csv"),
    "an absolute path": ("/etc/passwd.csv", "passwd.csv"),
    "a path of Windows": ("..\\..\\stays.csv", "stays.csv"),
    "a page in a name": ("<script>alert(1)</script>.csv", "script>.csv"),
    "a quote of SQL": ("x'; DROP TABLE zones_dataset; --.csv", "x'; DROP TABLE zones_dataset; --.csv"),
    "a name without end": ("x" * 5000 + ".csv", ""),
}


@pytest.mark.parametrize("what", NAMES)
def test_a_name_of_file_is_shown_but_never_a_path(empty, settings, what):
    name, kept = NAMES[what]

    answer, version = send_named(empty, name)

    if version is None:
        assert answer.status_code == 422
        assert on_disk(settings.SOURCES) == []
        return
    assert version.file_name.endswith(kept) and "/" not in version.file_name
    (stored,) = on_disk(settings.SOURCES)
    assert stored.parent == settings.SOURCES / str(empty.zone_id) and stored.stem.isalnum(), "the disk knows no name"
    assert "/" not in empty.tables.get().name and "<" not in empty.tables.get().name
    page = signed_in(empty.steward).get(version.get_absolute_url()).content.decode()
    assert "<script>alert" not in page


def send_named(empty, name: str):
    empty.steward = steward_of(empty.zone)
    answer, version = send(empty, HEAD + ROW * 9, name)
    return answer, version


HOSTILE = {
    "ten thousand columns": (
        ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n" + b",".join([b"1"] * 10_000) + b"\n",
        "stays.csv", "10000 colonnes : 1000 au plus",
    ),
    "columns equal after case folding": (b"Patient,AGE,age\n1,2,3\n", "stays.csv", "2 et 3 ont le même nom"),
    "a name of column of 100,000 signs": (b"a" * 100_000 + b",b\n1,2\n", "stays.csv", "dépasse 120 signes"),
    "a column without a name": (b"patient_id,,city\n1,2,3\n", "stays.csv", "La colonne 2 de l'en-tête n'a pas de nom"),
    "UTF-8 cut in the middle": (HEAD + b"1,40,Rou\xc3\n", "stays.csv", "Ligne 2, colonne 9"),
    "UTF-8 of a surrogate": (HEAD + b"1,40,\xed\xa0\x80\n", "stays.csv", "Ligne 2, colonne 6"),
    "gzip thrice": (gzip.compress(gzip.compress(gzip.compress(HEAD + ROW))), "stays.csv.gz", "compressé deux fois"),
    "JSON of 100,000 levels": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "stays.ndjson", "objet JSON"),
    "JSON of a number without end": (b'{"patient_id":' + b"9" * 900_000 + b"}\n", "stays.ndjson", ""),
    "JSON of keys that repeat": (b'{"Age":1,"age":2,"city":3}\n', "stays.ndjson", "ont le même nom"),
    "JSON of a list": (b"[1,2]\n", "stays.ndjson", "Ligne 1 : ce n'est pas un objet JSON"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_with_its_mend_and_nothing_changes(published, settings, what):
    content, name, message = HOSTILE[what]
    options = {"format": "ndjson"} if "ndjson" in name else {}

    answer, version = send(published, content, name, **options)

    assert answer.status_code == 302 and version.status == "refused"
    assert message in version.problem, version.problem
    assert len(version.problem) < 2000, "the message quotes no hostile text at length"
    assert last_refusal()["problem"] == version.problem
    keeps_its_good_version(published, settings)


def test_an_archive_by_the_name_of_a_csv_is_turned_away_unopened(published, settings):
    answer, version = send(published, zipped(b"x" * 50 * MIB), "stays.csv")

    assert (answer.status_code, version) == (422, None)
    assert "exportez une feuille en CSV" in answer.content.decode()
    keeps_its_good_version(published, settings)


def test_a_cell_of_one_gibibyte_is_refused_in_bounded_memory(published, settings):
    content = blocks((HEAD, 1), (b'1,40,"', 1), (b"x" * MIB, 1024), (b'"\n', 1))
    assert len(content) < 4 * MIB
    found: dict = {}

    held = peak_memory(lambda: found.update(version=send(published, content, "stays.csv.gz")[1]))

    assert "La ligne 2 dépasse 1024 Kio" in found["version"].problem
    assert held < 64 * MIB, f"{held / MIB:.0f} MiB held for a cell of 1 GiB"
    keeps_its_good_version(published, settings)


def test_a_cell_spread_over_a_million_lines_is_refused_in_bounded_memory(published, settings):
    content = blocks((HEAD, 1), (b'1,40,"', 1), ((b"x" * 99 + b"\n") * 10_000, 1000))  # a quote that never closes
    found: dict = {}

    held = peak_memory(lambda: found.update(version=send(published, content, "stays.csv.gz")[1]))

    assert found["version"].status == "refused" and "guillemets" in found["version"].problem
    assert held < 64 * MIB, f"{held / MIB:.0f} MiB held for a cell without end"
    keeps_its_good_version(published, settings)


def test_numbers_that_are_none_and_dates_that_never_were_are_told_with_their_mend(empty):
    rows = b"id,n,d\n" + b"".join(
        b"%d,%s,%s\n" % (at, n, d)
        for at, (n, d) in enumerate(
            [(b"1.5", b"2024-01-31"), (b"NaN", b"0000-00-00"), (b"-Infinity", b"2023-02-30"), (b"2", b"9999-12-31")] * 5
        )
    )

    version = profiled(sealed(empty, rows, by=steward_of(empty.zone)))

    assert version.status == "profiled"
    assert version.proposed["absent"] == {"n": {"kind": "number", "n": 10}, "d": {"kind": "date", "n": 10}}
    page = signed_in(steward_of(empty.zone)).get(version.get_absolute_url()).content.decode()
    assert "dates hors du calendrier (valeurs : 10) ; les lire comme absentes" in page
    assert "NaN ou infinis (valeurs : 10) ; les lire comme absents" in page
