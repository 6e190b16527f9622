"""Sources that cannot be taken: through the real upload and the real worker, each named with its mend.

The dataset is published with a good first version: whatever is sent next, it keeps it, and the log tells the refusal.
"""

import gzip
import zlib
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from tests.actors import signed_in
from tests.integration.test_sources import (  # noqa: F401  fixtures
    OPTIONS,
    dataset,
    empty,
    folders,
    on_disk,
    profiled,
    sealed,
    steward_of,
)
from zones import actions, tasks

pytestmark = pytest.mark.django_db

GOOD = b"patient_id,age,city\n" + b"1,40,Rouen\n2,41,Rouen\n1,40,Rouen\n" * 30
MIB = 1024 * 1024


@pytest.fixture
def published(empty):  # noqa: F811
    """A dataset of one good version, its roles confirmed, in the catalogue."""
    steward = steward_of(empty.zone)
    profiled(sealed(empty, GOOD, by=steward))
    roles = {"patient_id": "subject_key", "age": "quasi_identifier", "city": "geo"}
    actions.set_column_roles(empty, by=steward, roles={n: actions.ChosenRole(r) for n, r in roles.items()})
    actions.publish_dataset(empty, by=steward)
    empty.steward = steward
    return empty


def send(published, content, name="stays.csv", **options):
    """Upload through the page, then let the worker examine it; the page's answer, and the version if one was made."""
    client = signed_in(published.steward)
    before = set(published.versions.values_list("pk", flat=True))
    answer = client.post(
        reverse("version-upload", args=[published.slug]),
        {**OPTIONS, **options, "file": SimpleUploadedFile(name, content)},
    )
    version = published.versions.exclude(pk__in=before).first()
    if version:
        tasks.profile_version(version.pk)
        version.refresh_from_db()
    return answer, version


def last_refusal():
    """The last refusal in the log: what it tells."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.body::json FROM audit_event e JOIN audit_detail d ON d.event_id = e.id "
            "WHERE e.payload::json->>'act' IN ('version.refuse', 'version.receive') ORDER BY e.id DESC LIMIT 1"
        )
        return cursor.fetchone()[0]


def keeps_its_good_version(published, settings):
    published.refresh_from_db()
    (good,) = published.versions.filter(status="profiled")
    assert (good.number, good.rows, published.status) == (1, 90, "published")
    assert list(published.columns.values_list("name", "role")) == [
        ("patient_id", "subject_key"), ("age", "quasi_identifier"), ("city", "geo"),
    ]  # fmt: skip
    assert on_disk(settings.SCRATCH) == []


def blocks(*pieces: tuple[bytes, int]) -> bytes:
    """A gzip file of each piece so many times, made without ever holding it: a flushed block repeats itself.

    Its end is missing: whoever reads that far would complain of it, and nobody must have to.
    """
    made = [gzip.compress(b"")[:10]]
    for piece, count in pieces:
        press = zlib.compressobj(9, zlib.DEFLATED, -15)
        made.append((press.compress(piece) + press.flush(zlib.Z_FULL_FLUSH)) * count)
    return b"".join(made)


ROW = b"1,40,Rouen\n"
HEAD = b"patient_id,age,city\n"
UNREADABLE = {
    "a column that is missing": (b"patient_id,age\n" + b"1,40\n" * 9, {}, "absentes : city"),
    "an unknown column": (b"patient_id,age,city,hiv\n" + b"1,40,Rouen,1\n" * 9, {}, "nouvelles : hiv"),
    "another header": (b"a,b,c\n1,2,3\n", {}, "Reprenez l'en-tête d'origine, ou créez un autre jeu"),
    "a ragged row": (HEAD + ROW * 4 + b"1,40\n", {}, "Ligne 6 : 2 valeurs au lieu de 3"),
    "an open quote": (HEAD + b'1,40,"Rouen\n' + ROW * 3, {}, "guillemets mal fermés"),
    "invalid UTF-8": (HEAD + ROW + "1,40,Évreux\n".encode("latin-1"), {}, "Ligne 3, colonne 6 : l'octet 0xC9"),
    "a byte that Windows lacks": (HEAD + b"1,40,\x81\n", {"encoding": "cp1252"}, "Ligne 2, colonne 6 : l'octet 0x81"),
    "a null byte": (HEAD + b"1,40,\0\n", {}, "octet nul"),
    "a gzip cut short": (gzip.compress(GOOD * 50)[:-30], {}, "incomplet"),
    "a gzip broken inside": (blocks((GOOD, 1)) + b"\x07" * 9, {}, "abîmé"),
    "an empty gzip": (gzip.compress(b""), {}, "vide"),
    "a header alone": (HEAD, {}, "aucune ligne de données"),
    "a workbook inside gzip": (gzip.compress(b"PK\x03\x04" + b"x" * 99), {}, "exportez une feuille en CSV"),
    "gzip within gzip": (gzip.compress(gzip.compress(GOOD)), {}, "compressé deux fois"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_source_that_cannot_be_read_is_refused_with_its_mend_and_nothing_changes(published, settings, what):
    content, options, message = UNREADABLE[what]

    answer, version = send(published, content, **options)

    assert answer.status_code == 302
    assert version.status == "refused" and message in version.problem, version.problem
    assert message in last_refusal()["problem"]
    page = signed_in(published.steward).get(version.get_absolute_url()).content.decode()
    assert "Ce fichier ne peut pas être lu ainsi" in page and "Le jeu garde sa version 1" in page
    keeps_its_good_version(published, settings)


AT_THE_DOOR = {
    "an empty file": ("stays.csv", b"", "vide"),
    "a workbook": ("stays.xlsx", b"PK\x03\x04", "n'est pas un fichier lisible ici"),
    "an archive": ("stays.zip", b"PK\x03\x04", "n'est pas un fichier lisible ici"),
    "a PDF": ("stays.pdf", b"%PDF-1.7", "n'est pas un fichier lisible ici"),
    "a workbook by another name": ("stays.csv", b"PK\x03\x04" + b"x" * 99, "C'est une archive ou un classeur"),
    "a PDF by another name": ("stays.csv", b"%PDF-1.7\n", "C'est un PDF"),
    "an old workbook": ("stays.csv", b"\xd0\xcf\x11\xe0" + b"x" * 99, "ancien classeur"),
    "the same bytes again": ("stays.csv", GOOD, "déjà la version 1"),
}


@pytest.mark.parametrize("what", AT_THE_DOOR)
def test_a_file_turned_away_at_the_form_is_told_there_and_in_the_log(published, settings, what):
    name, content, message = AT_THE_DOOR[what]

    answer, version = send(published, content, name)

    assert (answer.status_code, version) == (422, None)
    assert message.replace("'", "&#x27;") in answer.content.decode()
    told = last_refusal()
    assert told["file"] == name and message in told.get("problem", "") + told.get("message", "")
    assert len(on_disk(settings.SOURCES)) == 1
    keeps_its_good_version(published, settings)


def peak_memory(act) -> int:
    """The most memory this process held while `act` ran, above what it held before, in bytes (Linux)."""

    def status(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    before = status("VmRSS")
    act()
    return status("VmHWM") - before


def test_one_line_of_two_gigabytes_is_refused_in_bounded_memory(published, settings):
    content = blocks((b"x" * MIB, 2048))  # 2 GiB without an end of line
    assert len(content) < 4 * MIB
    found: dict = {}

    held = peak_memory(lambda: found.update(version=send(published, content, "stays.csv.gz")[1]))

    assert "La ligne 1 dépasse 1024 Kio" in found["version"].problem
    assert held < 64 * MIB, f"{held / MIB:.0f} MiB held for a line of 2 GiB"
    keeps_its_good_version(published, settings)


def test_a_decompression_bomb_is_refused_in_bounded_memory_and_disk(published, settings):
    row = b"1,40," + b"x" * 1000 + b"\n"
    content = blocks((HEAD, 1), (row * (MIB // len(row)), 16 * 1024))  # 16 GiB of good rows
    found: dict = {}

    held = peak_memory(lambda: found.update(version=send(published, content, "stays.csv.gz")[1]))

    assert "gonfle plus de 300 fois" in found["version"].problem
    assert held < 96 * MIB, f"{held / MIB:.0f} MiB held for a bomb"
    keeps_its_good_version(published, settings)
