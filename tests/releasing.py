"""A convention on real stays, ready for a release: real keys, a sealed source, real people. For tests and bench."""

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import pyrage
from django.conf import settings

from broker import clock
from broker.keys.store import KeyStore
from broker.releases import actions, store, tasks
from broker.releases.models import Release
from consent import oppositions
from consent.models import Convention
from tests import factories
from tests.recompute import Inputs
from zones.models import DatasetVersion
from zones.reading import Reading
from zones.sealing import Seal

STAYS = Path(__file__).resolve().parent.parent / "deploy" / "demo" / "data" / "diabetic_data.csv.gz"
ROLES = {
    "encounter_id": ("integer", "direct_identifier"),
    "patient_nbr": ("integer", "subject_key"),
    "race": ("text", "sensitive"),
    "gender": ("text", "quasi_identifier"),
    "age": ("text", "quasi_identifier"),
    "admission_type_id": ("integer", "quasi_identifier"),
    "time_in_hospital": ("integer", "measure"),
    "num_lab_procedures": ("integer", "measure"),
    "num_medications": ("integer", "measure"),
    "number_inpatient": ("integer", "measure"),
}
ASKED = (
    "patient_nbr", "gender", "age", "admission_type_id", "time_in_hospital", "num_lab_procedures", "num_medications",
    "number_inpatient", "diag_1", "A1Cresult", "readmitted",
)  # fmt: skip


@dataclass
class Ready:
    convention: Convention
    identity: str
    source: Path

    @property
    def person(self):
        return self.convention.named_persons.get().user

    def ask(self, columns=ASKED) -> Release:
        return actions.request_release(
            self.convention, by=self.person, second_factor_at=clock.now(), address="127.0.0.1", columns=list(columns)
        )

    def inputs(self, release: Release) -> Inputs:
        """What a stranger would be given to recompute `release`."""
        keys = KeyStore(settings.KEY_STORE)
        zone, dataset = self.convention.zone, release.dataset_version.dataset
        sealed = (store._folder() / release.stored_as).read_bytes()
        at = release.opposition_snapshot_at
        assert at is not None
        return Inputs(
            source=self.source, recipe=release.recipe,
            pseudonym_key=keys.open("pseudonym", f"convention:{self.convention.pk}").decode(),
            token_key=keys.open("token", f"zone:{zone.pk}").decode(),
            opposed=[token.hex() for token in oppositions.tokens_in_force(zone, dataset, at)],
            clear=pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(self.identity)]),
            manifest=release.manifest,
        )  # fmt: skip


def cut_of_stays(path: Path, lines: int | None) -> Path:
    """The first `lines` of the real stays at `path`, or the whole file."""
    if lines is None:
        path.write_bytes(STAYS.read_bytes())
        return path
    with gzip.open(STAYS, "rb") as whole, gzip.open(path, "wb") as part:
        for _line in range(lines + 1):
            part.write(whole.readline())
    return path


def columns_of(path: Path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        header = next(csv.reader(io.StringIO(lines.readline())))
    for name in header:
        kind, role = ROLES.get(name, ("text", "measure"))
        yield name, kind, role, "origin" if name == "race" else ""


def convention_on_stays(folder: Path, *, lines: int | None = 6000, releases_per_month: int = 10) -> Ready:
    """An active convention on a cut of the real stays; keys, sealed source and releases lie under `folder`.

    The caller has pointed KEY_STORE, SOURCES, RELEASES and SCRATCH below `folder` (fixture `releasing_folders`).
    """
    keys = KeyStore(settings.KEY_STORE)
    zone = factories.zone()
    recipient = keys.create("source", f"zone:{zone.pk}").public
    keys.create("token", f"zone:{zone.pk}")
    source = cut_of_stays(folder / "stays.csv.gz", lines)
    dataset = factories.dataset(zone, columns=tuple(columns_of(source)), in_service=factories.service(zone))
    seal = Seal(zone, recipient)
    seal.write(source.read_bytes())
    sealed = seal.finish(source.name)
    with gzip.open(source) as content:
        rows = sum(1 for _line in content) - 1
    DatasetVersion.objects.create(
        dataset=dataset, number=2, status="profiled", file_name=source.name, sha256=sealed.sha256, size=sealed.size,
        stored_as=sealed.stored_as, rows=rows, profiled_at=clock.now(), received_by=factories.user(),
        reading={**Reading(missing=("?",)).as_json(), "blank_lines": 0},
    )  # fmt: skip
    offer = factories.offer(dataset, columns=(*ASKED, "race"), releases_per_month=releases_per_month)
    convention = factories.convention(offer)
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    keys.create("pseudonym", f"convention:{convention.pk}")
    return Ready(convention, str(identity), source)


def built(ready: Ready, columns=ASKED) -> Release:
    """A release asked for and built in this process' name, as the worker does."""
    release = ready.ask(columns)
    tasks.build(release)
    release.refresh_from_db()
    return release
