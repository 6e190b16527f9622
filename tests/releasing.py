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
from consent import consents, oppositions
from consent.models import Convention
from tests import factories
from tests.recompute import Inputs
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
            consented=consented_of(release, at),
        )  # fmt: skip


def consented_of(release: Release, at) -> list[str]:
    """The tokens of those who consented when `release` was built; none where it does not rest on consent."""
    wanted = release.recipe.get("consent")
    if not wanted:
        return []
    dataset = release.dataset_version.dataset
    found = consents.tokens_in_force(dataset, purpose=wanted["purpose"], category=wanted["recipient"], at=at)
    return [token.hex() for token in found]


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


def convention_on_stays(
    folder: Path, *, lines: int | None = 6000, releases_per_month: int = 10, treatments=None, approved=()
) -> Ready:
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
    factories.version(
        dataset,
        {"stays": sealed},
        rows={"stays": rows},
        readings={"stays": {**Reading(missing=("?",)).as_json(), "blank_lines": 0}},
    )
    offer = factories.offer(
        dataset,
        columns=(*ASKED, "race"),
        releases_per_month=releases_per_month,
        treatments=treatments,
        approved=approved,
    )
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


CURVE_COLUMNS = (
    ("customer_id", "integer", "subject_key", ""),
    ("reading_datetime", "timestamp", "timestamp", ""),
    ("general_supply_kwh", "number", "measure", ""),
)


def curves_of(path: Path, homes: int, readings: int = 4) -> Path:
    """Half-hour readings of `homes` homes, numbered from 10000001, made up: the rule is about who is in, not values."""
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow([name for name, *_rest in CURVE_COLUMNS])
        for home in range(homes):
            for step in range(readings):
                minute = f"2026-01-05 {step // 2:02d}:{30 * (step % 2):02d}:00"
                lines.writerow([10_000_001 + home, minute, f"{(home * 7 + step) % 40 / 10:.1f}"])
    return path


def convention_on_curves(folder: Path, *, homes: int = 300, readings: int = 4, signed_by_holder: bool = True) -> Ready:
    """A convention on load curves that belong to a grid operator and rest on consent. Nobody consents yet."""
    keys = KeyStore(settings.KEY_STORE)
    zone = factories.zone("eco_district")
    recipient = keys.create("source", f"zone:{zone.pk}").public
    keys.create("token", f"zone:{zone.pk}")
    source = curves_of(folder / "curves.csv.gz", homes, readings)
    dataset = factories.dataset(
        zone, columns=CURVE_COLUMNS, domains=["energy_metering"], consent_required=True, time_step="fine",
        holder=factories.organisation("holder", name="Réseau électrique du Drac"), holder_agreement="accord du 2 mars",
        no_minors_because="titulaires d'un contrat, majeurs",
    )  # fmt: skip
    seal = Seal(zone, recipient)
    seal.write(source.read_bytes())
    sealed = seal.finish(source.name)
    factories.version(
        dataset,
        {"stays": sealed},
        rows={"stays": homes * readings},
        readings={"stays": {**Reading().as_json(), "blank_lines": 0}},
    )
    names = tuple(name for name, *_rest in CURVE_COLUMNS)
    offer = factories.offer(dataset, columns=names, purposes=["energy_flexibility_rnd"])
    experimenter = factories.organisation(name="Flexio")
    factories.registry_entry(experimenter, domains=["energy_metering"], zone_kinds=["eco_district"])
    convention = factories.convention(
        offer, organisation_=experimenter, status="active" if signed_by_holder else "signing"
    )
    if signed_by_holder:
        factories.signed_by_holder(convention)
        keys.create("pseudonym", f"convention:{convention.pk}")
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    return Ready(convention, str(identity), source)


def convention_on_plain(folder: Path, content: bytes, columns: tuple[tuple[str, str], ...], **reading) -> Ready:
    """A convention on road data without persons, downloaded as they are: `columns` are (name, type), in the order of
    the file `content`."""
    keys = KeyStore(settings.KEY_STORE)
    zone = factories.zone("av_motorway")
    recipient = keys.create("source", f"zone:{zone.pk}").public
    dataset = factories.dataset(
        zone, columns=tuple((name, kind, "measure", "") for name, kind in columns), domains=["road_infrastructure"],
        is_personal=False, licence="Licence Ouverte 2.0",
    )  # fmt: skip
    source = folder / "counts.csv"
    source.write_bytes(content)
    seal = Seal(zone, recipient)
    seal.write(content)
    factories.version(
        dataset, {"stays": seal.finish(source.name)}, rows={"stays": len(content.splitlines()) - 1},
        readings={"stays": {**Reading(**reading).as_json(), "blank_lines": 0}},
    )  # fmt: skip
    offer = factories.offer(
        dataset, columns=tuple(name for name, _kind in columns), delivery_mode="file_download",
    )  # fmt: skip
    convention = factories.convention(offer)
    keys.create("pseudonym", f"convention:{convention.pk}")
    return Ready(convention, "", source)
