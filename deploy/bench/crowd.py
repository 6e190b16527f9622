"""Real rows by the thousand around the world of tests/actors.py: every guard of the database passes on each of them.

Rows are written through the models, in bulk, in the order in which people make them (a draft, its parts, the decision
of two persons, then the state). The same seed gives the same crowd. Some gather around the actors, so that their own
lists are as long as anybody's: the start-up's conventions, the operator's zones, the datasets of one hospital.
"""

import hashlib
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from broker import clock

SEED = 20261122
BATCH = 2_000
WORDS = (
    "glycémie", "séjours", "urgences", "imagerie", "recharge", "comptage", "trafic", "capteurs", "réanimation",
    "cardiologie", "pneumologie", "alpage", "chaleur", "bornes", "éclairage", "tramway", "fret", "logistique",
    "consultation", "dialyse", "nutrition", "vaccination", "mobilité", "pollution",
)  # fmt: skip
OFFERED = ("patient_nbr", "gender", "age", "time_in_hospital", "readmitted")


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows of each kind the whole house holds."""

    zones: int
    datasets: int
    organisations: int
    applications: int
    conventions: int
    releases: int
    events: int


FEW = Size(zones=30, datasets=60, organisations=60, applications=90, conventions=60, releases=60, events=600)
MANY = Size(
    zones=150, datasets=10_000, organisations=3_000, applications=10_000, conventions=2_000, releases=3_000,
    events=250_000,
)  # fmt: skip


def _bulk(model, rows: Iterable):
    return model.objects.bulk_create(list(rows), batch_size=BATCH)


class Crowd:
    """Grows one house from a size to a larger one."""

    def __init__(self, world):
        from django.contrib.auth.hashers import make_password

        self.world, self.random = world, random.Random(SEED)  # noqa: S311  rows of a bench, no secret
        self.password = make_password("un mot de passe long")
        self.size = Size(0, 0, 0, 0, 0, 0, 0)
        zone = world.objects["zone"]
        self.zones, self.operator = [zone], zone.operator
        self.datasets, self.offers = [], []
        self.experimenters, self.conventions, self.applications = [], [], []
        self.two = (self._people(["Première Main"])[0], self._people(["Seconde Main"])[0])

    def grow(self, size: Size) -> None:
        """Every kind of row until `size`; each kind after those it rests on."""
        self._grow_zones(size.zones - self.size.zones)
        self._grow_organisations(size.organisations - self.size.organisations)
        self._grow_datasets(size.datasets - self.size.datasets)
        self._grow_offers()
        more = size.conventions - self.size.conventions
        self._grow_applications(size.applications - self.size.applications, more)
        self._grow_conventions(more)
        self._grow_releases(size.releases - self.size.releases)
        self._grow_events(size.events - self.size.events)
        self.size = size

    def _title(self, number: int) -> str:
        return f"{self.random.choice(WORDS).capitalize()} et {self.random.choice(WORDS)}, série {number}"

    def _people(self, names):
        from broker.accounts.models import User

        start = User.objects.count()
        return _bulk(
            User,
            (
                User(email=f"foule{start + n}@exemple.fr", full_name=name, password=self.password)
                for n, name in enumerate(names)
            ),
        )

    def _countersign(self, decisions) -> None:
        """One complete decision of two persons for each (act, object, organisation it is about, time)."""
        from broker.accounts.models import Countersign

        first, second = self.two
        _bulk(
            Countersign,
            (
                Countersign(act=act, object_ref=ref, concerned=body, first_by=first, second_by=second, second_at=at)
                for act, ref, body, at in decisions
            ),
        )

    def _grow_zones(self, more: int) -> None:
        """A third of them are the operator's own, who holds the role on each."""
        from broker.accounts import grants
        from broker.accounts.models import Organisation
        from broker.audit.actor import SYSTEM
        from zones.models import Service, Site, Zone

        if more <= 0:
            return
        at, start = clock.now(), len(self.zones)
        others = _bulk(
            Organisation,
            (
                Organisation(name=f"Hôpital {start + n}", kind="operator", dpo_email="dpo@exemple.fr")
                for n in range(more)
            ),
        )  # fmt: skip
        slugs = [f"foule-zone-{start + n}" for n in range(more)]
        self._countersign(("zone.open", f"zone:{slug}", None, at) for slug in slugs)
        made = _bulk(
            Zone,
            (
                Zone(
                    slug=slug, name=f"Zone {self._title(start + n)}", kind="hospital" if n % 3 else "av_motorway",
                    operator=self.operator if n % 3 == 0 else others[n], status="open", opened_at=at,
                    communes=["76540"], contact_email="contact@exemple.fr", dpo_email="dpo@exemple.fr",
                    general_information_on=clock.today(), frame_adopted_on=clock.today(),
                )
                for n, slug in enumerate(slugs)
            ),
        )  # fmt: skip
        for zone in made:
            if zone.operator_id == self.operator.pk:
                grants.give(self.world.users["operator"], "zones.operate", zone, by=SYSTEM)
        self.zones += made
        today, first = clock.today(), self.zones[0]
        places = [*made, *[first] * min(more, 60)]
        _bulk(
            Service,
            (
                Service(
                    zone=zone, name=f"Service {start}.{n}", head_name="Dr Girard",
                    participation_from=today - timedelta(days=30), participation_until=today + timedelta(days=300),
                )
                for n, zone in enumerate(places)
            ),
        )  # fmt: skip
        _bulk(Site, (Site(zone=zone, name=f"Site {start}.{n}", commune="76540") for n, zone in enumerate(places)))

    def _grow_organisations(self, more: int) -> None:
        """Each with a representative, an attested environment and an entry of the registry; one in four waits."""
        from django.db.backends.postgresql.psycopg_any import DateRange

        from broker.accounts.models import Membership, Organisation, SecureEnvironment
        from consent.models import Accreditation, RegistryEntry

        if more <= 0:
            return
        start, today, at = len(self.experimenters), clock.today(), clock.now()
        bodies = _bulk(
            Organisation,
            (
                Organisation(
                    name=f"Société {self._title(start + n)}", kind="experimenter", dpo_email="dpo@exemple.fr",
                    siren=f"{900_000_000 + start + n}",
                )
                for n in range(more)
            ),
        )  # fmt: skip
        people = self._people(f"Représentante {start + n}" for n in range(more))
        startup = self.world.objects["startup"]
        colleagues = self._people(f"Collègue {start + n}" for n in range(min(more, 120)))
        _bulk(
            Membership,
            [
                *(
                    Membership(
                        user=person, organisation=body, role="legal_representative", mandate="statuts, article 12",
                        joined_on=today - timedelta(days=900),
                    )
                    for person, body in zip(people, bodies, strict=True)
                ),
                *(
                    Membership(user=one, organisation=startup, role="member", joined_on=today - timedelta(days=90))
                    for one in colleagues
                ),
            ],
        )  # fmt: skip
        environments = _bulk(
            SecureEnvironment,
            (
                SecureEnvironment(
                    organisation=body, name="Bulle", klass="secure", host="Hébergeur certifié",
                    networks=["127.0.0.1/32"],
                    age_recipient="age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
                    attested_on=today - timedelta(days=30), attestation="questionnaire", attested_by=person,
                )
                for body, person in zip(bodies, people, strict=True)
            ),
        )  # fmt: skip
        entries = _bulk(
            RegistryEntry,
            (
                RegistryEntry(
                    organisation=body, requested_by=person, status="under_review", domains=["clinical"],
                    zone_kinds=["hospital"], submitted_at=at - timedelta(days=40, minutes=n),
                    due_on=today + timedelta(days=20), decided_at=None if n % 4 == 3 else at - timedelta(days=35),
                )
                for n, (body, person) in enumerate(zip(bodies, people, strict=True))
            ),
        )  # fmt: skip
        accredited = [entry for n, entry in enumerate(entries) if n % 4 != 3]
        self._countersign(
            ("registry.accredit", f"registry:{entry.pk}@{entry.version}", entry.organisation, at)
            for entry in accredited
        )
        RegistryEntry.objects.filter(pk__in=[entry.pk for entry in accredited]).update(status="accredited")
        _bulk(
            Accreditation,
            (
                Accreditation(
                    entry=entry, organisation=entry.organisation, domains=["clinical"], zone_kinds=["hospital"],
                    period=DateRange(today - timedelta(days=30), today + timedelta(days=700)),
                )
                for entry in accredited
            ),
        )  # fmt: skip
        self.experimenters += zip(bodies, people, environments, strict=True)

    def _grow_datasets(self, more: int) -> None:
        """One in five lies in the actors' hospital; each has its columns and one examined version."""
        from tests.factories import STAY_COLUMNS
        from zones.models import Column, Dataset, DatasetVersion, Table, VersionFile

        if more <= 0:
            return
        start, at, steward = len(self.datasets), clock.now(), self.world.users["steward"]
        home = self.zones[0]
        made = []
        for n in range(start, start + more):
            zone = home if n % 5 == 0 else self.zones[n % len(self.zones)]
            made.append(
                Dataset(
                    zone=zone, holder=zone.operator, slug=f"foule-jeu-{n}", title=self._title(n),
                    summary=" ".join(self.random.choices(WORDS, k=24)), domains=["clinical"], is_personal=True,
                )
            )  # fmt: skip
        _bulk(Dataset, made)
        tables = _bulk(Table, (Table(dataset=dataset, name="stays", position=0) for dataset in made))
        _bulk(
            Column,
            (
                Column(
                    dataset=table.dataset, table=table, name=name, path=name, position=position, type=kind, role=role,
                    sensitive_class=klass, suggested_role=role, confirmed_by=steward, confirmed_at=at,
                )
                for table in tables
                for position, (name, kind, role, klass) in enumerate(STAY_COLUMNS)
            ),
        )  # fmt: skip
        versions = _bulk(
            DatasetVersion,
            (
                DatasetVersion(dataset=dataset, number=1, status="draft", received_by=steward, rows=10_000)
                for dataset in made
            ),
        )
        _bulk(
            VersionFile,
            (
                VersionFile(
                    version=version, table=table, file_name="stays.csv", sha256="0" * 64, size=1, stored_as="absent",
                    rows=10_000,
                )
                for version, table in zip(versions, tables, strict=True)
            ),
        )  # fmt: skip
        DatasetVersion.objects.filter(pk__in=[version.pk for version in versions]).update(
            status="profiled", sha256="0" * 64, size=1, profiled_at=at
        )
        ids = [dataset.pk for dataset in made]
        Dataset.objects.filter(pk__in=ids).update(status="published", published_at=at)
        self.datasets += made

    def _grow_offers(self) -> None:
        """One published offer for each dataset that has none yet, every tenth still a draft."""
        from consent.models import Offer, OfferColumn
        from zones.models import Column

        today, at, first = clock.today(), clock.now(), self.two[0]
        new = self.datasets[len(self.offers) :]
        made = _bulk(
            Offer,
            (
                Offer(
                    dataset=dataset, title=f"Offre de {dataset.title}", purposes=["diagnosis_support_rnd"],
                    models_fate="kept_with_attestation", results_owner="l'Expérimentateur",
                    delivery_mode="environment", notice_published_at=at - timedelta(days=30), notice={"who": "x"},
                    dpia_reference="AIPD-1", dpia_validated_on=today - timedelta(days=60), created_by=first,
                    holder_basis={"article_6": "public_task", "article_9": "9(2)(j)"},
                    starts_on=today - timedelta(days=30), ends_on=today + timedelta(days=335),
                )
                for dataset in new
            ),
        )  # fmt: skip
        wanted = Column.objects.filter(dataset__in=[dataset.pk for dataset in new], name__in=OFFERED)
        columns: dict[int, list[int]] = {}
        for pk, dataset in wanted.values_list("pk", "dataset"):
            columns.setdefault(dataset, []).append(pk)
        _bulk(
            OfferColumn,
            (
                OfferColumn(offer=offer, column_id=column, justification="sert à l'essai")
                for offer in made
                for column in columns[offer.dataset_id]
            ),
        )
        published = [offer for n, offer in enumerate(made) if n % 10 != 9]
        self._countersign(("offer.publish", f"offer:{offer.pk}", None, at) for offer in published)
        Offer.objects.filter(pk__in=[offer.pk for offer in published]).update(status="published", published_at=at)
        self.offers += made

    def _grow_applications(self, more: int, conventions: int) -> None:
        """The first `conventions` of them are approved; one in ten is the start-up's own."""
        from consent.models import Application

        if more <= 0:
            return
        world, today, start = self.world, clock.today(), len(self.applications)
        own = (world.objects["startup"], world.users["representative"], world.objects["environment"])
        made = []
        for n in range(more):
            body, person, environment = own if n % 10 == 0 else self.experimenters[n % len(self.experimenters)]
            status = "approved" if n < conventions else ("refused", "withdrawn", "submitted")[n % 3]
            made.append(
                Application(
                    offer=self.offers[(start + n) % len(self.offers)], organisation=body, environment=environment,
                    status=status, solution=f"Solution {n}", purpose_kind="experimentation",
                    purpose_code="diagnosis_support_rnd", basis_article_6="legitimate_interests",
                    basis_article_9="9(2)(j)", starts_on=today - timedelta(days=1),
                    ends_on=today + timedelta(days=180), created_by=person,
                )
            )  # fmt: skip
        self.applications += _bulk(Application, made)

    def _grow_conventions(self, more: int) -> None:
        """Signed by both parties, each with a named person who is confirmed."""
        from consent.models import Convention, ConventionDocument, NamedPerson, Signature

        if more <= 0:
            return
        at, start, second = clock.now(), len(self.conventions), self.two[1]
        approved = [a for a in self.applications if a.status == "approved"][start : start + more]
        made = _bulk(
            Convention,
            (
                Convention(
                    ref=f"CV-2027-{start + n:05d}", application=one, offer=one.offer, zone=one.offer.dataset.zone,
                    organisation=one.organisation, environment=one.environment, purpose_code=one.purpose_code,
                    starts_on=one.starts_on, ends_on=one.ends_on, status="active", activated_at=at,
                    notice_published_at=at - timedelta(days=8),
                )
                for n, one in enumerate(approved)
            ),
        )  # fmt: skip
        papers = {one.pk: f"%PDF-1.7 {one.ref}".encode() for one in made}
        digests = {pk: hashlib.sha256(pdf).hexdigest() for pk, pdf in papers.items()}
        _bulk(
            ConventionDocument,
            (
                ConventionDocument(
                    convention=one, pdf=papers[one.pk], sha256=digests[one.pk], template_version="2026.11.0"
                )
                for one in made
            ),
        )
        people = self._people(f"Analyste {start + n}" for n in range(more))
        _bulk(
            Signature,
            (
                Signature(
                    convention=one, party=party, document_sha256=digests[one.pk], mandate="statuts",
                    signer=second if party == "operator" else one.application.created_by, level="strengthened",
                )
                for one in made
                for party in ("operator", "experimenter")
            ),
        )  # fmt: skip
        startup, samir = self.world.objects["startup"], self.world.users["named"]
        _bulk(
            NamedPerson,
            (
                NamedPerson(
                    convention=one, user=samir if one.organisation_id == startup.pk else person,
                    from_day=one.starts_on, named_by=one.application.created_by, confirmed_by=second, confirmed_at=at,
                )
                for one, person in zip(made, people, strict=True)
            ),
        )  # fmt: skip
        self.conventions += made

    def _grow_releases(self, more: int) -> None:
        """Ready releases, each under its own permit and its convention's key; as many refusals beside."""
        from broker.keys.models import DataKey
        from broker.releases.models import Release
        from consent.models import GateDecision

        if more <= 0:
            return
        at, today = clock.now(), clock.today()
        where = [self.conventions[n % len(self.conventions)] for n in range(more)]
        versions = {one.pk: one.offer.dataset.versions.get() for one in set(where)}
        persons = {one.pk: one.named_persons.select_related("user").get().user for one in set(where)}
        common = {"ruleset_version": "2026.11.0", "ruleset_sha256": "0" * 64, "policy_epoch": 0,
                  "case_sha256": "0" * 64, "event_id": "0" * 26}  # fmt: skip
        refusal = [{"rule": "G10", "effect": "deny", "message_fr": "Suspendue.", "message_en": "Suspended.",
                    "sources": ["x"], "link": ""}]  # fmt: skip
        decisions = _bulk(
            GateDecision,
            (
                GateDecision(
                    action="release_create", actor_ref=f"user:{persons[one.pk].pk}", organisation=one.organisation,
                    convention=one, object_ref=f"version:{versions[one.pk].pk}", effect=effect,
                    reasons=refusal if effect == "deny" else [], **common,
                )
                for one in where
                for effect in ("permit", "deny")
            ),
        )  # fmt: skip
        known = {key.ref: key for key in DataKey.objects.filter(ref__startswith="convention:")}
        missing = {f"convention:{one.pk}" for one in where} - known.keys()
        keys = (
            DataKey(purpose="pseudonym", ref=ref, wrapping_key_id=uuid.UUID(int=self.random.getrandbits(128)).hex,
                    wrapped=b"sealed")
            for ref in sorted(missing)
        )  # fmt: skip
        known |= {key.ref: key for key in _bulk(DataKey, keys)}
        recipe = {
            "format": 1, "personal": True, "k": 5, "columns": [], "engine": {"duckdb": "2.0.0"},
            "output": {"format": "parquet", "sealed": True}, "dataset": {"slug": "jeu", "rows": 10}, "reading": {},
            "source_columns": [], "subject_key": None, "minors": {"rule": "none", "age_column": None}, "rank_by": None,
            "quasi_identifiers": [], "identifiers": [],
        }  # fmt: skip
        _bulk(
            Release,
            (
                Release(
                    convention=one, dataset_version=versions[one.pk], decision=decision,
                    key=known[f"convention:{one.pk}"], clear_sha256="1" * 64, ruleset_version="2026.11.0",
                    recipe=recipe, recipe_sha256="0" * 64, delivery_mode="environment",
                    requested_by=persons[one.pk], status="ready", built_at=at, size=1, sha256="0" * 64,
                    stored_as="absent", rows_in=10, rows_out=10, subjects_out=10, k_min=5,
                    manifest={"certificate": str(today)},
                    dropped={"no_subject": 0, "opposed": 0, "minor": 0, "small_class": 0},
                )
                for one, decision in zip(where, decisions[::2], strict=True)
            ),
        )  # fmt: skip

    def _grow_events(self, more: int) -> None:
        """The events of 200 persons of the crowd, as the application writes them, one in four about the hospital."""
        from django.db import connection

        from broker.accounts.models import User

        if more <= 0:
            return
        people = User.objects.order_by("pk").values_list("pk", flat=True)[:200]
        refs = [one.ref for one in self.conventions]
        with connection.cursor() as cursor:
            for number, pk in enumerate(people):
                cursor.execute(
                    "INSERT INTO audit_subject_key (subject_ref, period, pseudonym) "
                    "VALUES (%s, %s, decode(md5(%s), 'hex')) ON CONFLICT DO NOTHING",
                    [f"user:{pk}", "bench", str(number)],
                )
            for first in range(1, more + 1, 20_000):
                last = min(first + 19_999, more)
                cursor.execute(
                    EVENTS, {"first": first, "last": last, "n": more, "refs": refs, "hospital": self.zones[0].reference,
                             "zones": [zone.reference for zone in self.zones]}
                )  # fmt: skip


EVENTS = """
    INSERT INTO audit_event (at_day, payload)
    SELECT current_date, '{"act":"' || (ARRAY['data.download','data.build','gate.decide','offer.publish'])[1 + i %% 4]
      || '","actor":{"auth":"mfa","id":"p:' || md5((i %% 200)::text) || '","kind":"person"},"at":"'
      || to_char(now() AT TIME ZONE 'UTC' - make_interval(secs => (%(n)s::int - i) * 0.086),
                 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z","basis":"","conv":"cv:'
      || (%(refs)s::text[])[1 + i %% cardinality(%(refs)s::text[])] || '@1","d":null,"id":"01KAN'
      || upper(substring(md5(i::text) FOR 21))
      || '","ip":"10.0.0.0/24","n":null,"obj":{"id":"' || i %% 5000 || '","type":"release","ver":""},'
      || '"on_behalf":"","org":"org:' || 900000000 + i %% 3000 || '","out":"'
      || CASE WHEN i %% 20 = 0 THEN 'deny' ELSE 'allow' END
      || '","policy":"","purp":"experimentation","reason":[],"req":"' || md5('r' || i) || '","sub":null,'
      || '"tool":"terrain/1","v":1,"zone":"' || CASE WHEN i %% 4 = 0 THEN %(hospital)s::text
                            ELSE (%(zones)s::text[])[1 + i %% cardinality(%(zones)s::text[])] END || '"}'
    FROM generate_series(%(first)s::int, %(last)s::int) AS i
"""
