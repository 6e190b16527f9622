"""A case in order, as values: a named person of an accredited start-up builds a release of hospital stays. No database.

`a_case()` is permitted; `a_download()` is the download of the release it gave. Each takes the parts a test changes.
"""

from datetime import UTC, date, datetime, timedelta

from consent import gate

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # 10:00 in Paris
SHA = "a" * 64
COLUMNS = ("patient_nbr", "gender", "age", "time_in_hospital", "readmitted")
OBLIGATIONS = (
    "exclude_opposed_subjects",
    "exclude_minors",
    "apply_profile",
    "generalise_or_suppress",
    "mark_experimental",
)


def person(**facts) -> gate.PersonFacts:
    return gate.PersonFacts(
        **{
            "ref": "user:7",
            "is_active": True,
            "is_member": True,
            "second_factor_at": NOW - timedelta(hours=3),
            "named": gate.NamedFacts("analyst", date(2026, 11, 1), None, is_confirmed=True),
            "trainings": (("health", date(2026, 10, 1)),),
            "undertook_on": date(2026, 11, 4),
            **facts,
        }
    )


def standing(**facts) -> gate.Standing:
    return gate.Standing(
        **{
            "status": "accredited",
            "valid_from": date(2026, 1, 1),
            "valid_until": date(2027, 12, 31),
            "domains": ("clinical", "road_infrastructure"),
            "zone_kinds": ("hospital", "av_motorway"),
            "synced_at": NOW,
            **facts,
        }
    )


def request(**facts) -> gate.RequestFacts:
    return gate.RequestFacts(
        **{
            "object_ref": "version:1",
            "purpose_kind": "experimentation",
            "purpose_code": "diagnosis_support_rnd",
            "columns": COLUMNS,
            "delivery_mode": "environment",
            "address": "192.0.2.10",
            **facts,
        }
    )


def signature(party: str, **facts) -> gate.SignatureFacts:
    return gate.SignatureFacts(
        **{
            "party": party,
            "sha256": SHA,
            "level": "strengthened",
            "mandate": "statuts, article 12",
            "mandate_until": None,
            "signed_on": date(2026, 11, 2),
            **facts,
        }
    )


def approved(*names: str, **facts) -> tuple[gate.ApprovedColumn, ...]:
    return tuple(
        gate.ApprovedColumn(name, f"{name} sert à l'essai", **{"approves_sensitive": False, **facts}) for name in names
    )


def convention(**facts) -> gate.ConventionFacts:
    return gate.ConventionFacts(
        **{
            "ref": "CV-2026-0001",
            "org": "Glycéa",
            "status": "active",
            "purpose_kind": "experimentation",
            "purpose_codes": ("diagnosis_support_rnd",),
            "starts_on": date(2026, 11, 3),
            "ends_on": date(2027, 5, 2),
            "document_sha256": SHA,
            "required_level": "strengthened",
            "required_parties": ("operator", "experimenter"),
            "signatures": (signature("operator"), signature("experimenter")),
            "dataset_ids": (1,),
            "service_ids": (4,),
            "period": None,
            "columns": approved(*COLUMNS),
            "dpo_is_favourable": True,
            "minors_covered": False,
            "minors_evidence": False,
            "environment_klass": "secure",
            **facts,
        }
    )


def service(**facts) -> gate.ServiceFacts:
    return gate.ServiceFacts(
        **{
            "id": 4,
            "name": "Diabétologie",
            "participation_from": date(2026, 9, 1),
            "participation_until": date(2027, 8, 31),
            **facts,
        }
    )


def zone(**facts) -> gate.ZoneFacts:
    return gate.ZoneFacts(
        **{
            "id": 2,
            "name": "Hôpital des Deux-Rives",
            "kind": "hospital",
            "status": "open",
            "general_information_on": date(2026, 1, 5),
            "contact": "contact@exemple.fr",
            "dpo": "dpo@exemple.fr",
            **facts,
        }
    )


def dataset(**facts) -> gate.DatasetFacts:
    roles = {
        "encounter_id": ("direct_identifier", ""),
        "patient_nbr": ("subject_key", ""),
        "race": ("sensitive", "origin"),
        "hiv_status": ("sensitive", "hiv"),
        "genotype": ("sensitive", "genetic"),
        "gender": ("quasi_identifier", ""),
        "age": ("quasi_identifier", ""),
        "time_in_hospital": ("measure", ""),
        "readmitted": ("measure", ""),
        "glucose": ("measure", ""),
    }
    return gate.DatasetFacts(
        **{
            "id": 1,
            "title": "Séjours",
            "status": "published",
            "version": 1,
            "version_status": "profiled",
            "is_personal": True,
            "domains": ("clinical",),
            "domain_labels": ("données cliniques",),
            "columns": tuple(gate.ColumnFacts(name, *facts) for name, facts in roles.items()),
            "service": service(),
            **facts,
        }
    )


def notice(**facts) -> gate.NoticeFacts:
    return gate.NoticeFacts(
        **{
            "published_at": NOW - timedelta(days=8),
            "missing": (),
            "standing_published_at": None,
            "offer_is_unchanged": True,
            **facts,
        }
    )


def environment(**facts) -> gate.EnvironmentFacts:
    return gate.EnvironmentFacts(
        **{
            "id": 9,
            "klass": "secure",
            "networks": ("192.0.2.0/28",),
            "attested_on": date(2026, 10, 1),
            "country": "FR",
            "access_countries": ("FR",),
            "host": "Hébergeur certifié",
            "host_contract": "contrat du 5 janvier 2026",
            "hds_until": date(2027, 12, 31),
            **facts,
        }
    )


def basis(**facts) -> gate.BasisFacts:
    return gate.BasisFacts(
        **{
            "article_6": "public_task",
            "article_9": "9(2)(j)",
            "compatibility": "research",
            "secrecy": "research_transmission",
            "formality": "MR-004",
            "reviewed_on": date(2026, 10, 1),
            "restricted_sources": (),
            "sources_agreement": "",
            "dpia_validated_on": date(2026, 9, 1),
            "residual_risk": "acceptable",
            "substantial_on": None,
            **facts,
        }
    )


def a_case(**parts) -> gate.Case:
    return gate.Case(
        **{
            "action": "release_create",
            "now": NOW,
            "clock_skew_seconds": 0.01,
            "person": person(),
            "token": None,
            "credential": None,
            "order": None,
            "standing": standing(),
            "request": request(),
            "convention": convention(),
            "zone": zone(),
            "dataset": dataset(),
            "switches": (),
            "scopes": (("zone", "2"), ("convention", "12")),
            "epoch": 5,
            "notice": notice(),
            "oppositions_synced_at": NOW,
            "environment": environment(),
            "key": gate.KeyFacts("convention:12"),
            "quota": gate.QuotaFacts(0, 10, 0, 5, resumes=False),
            "agency": "agence@exemple.fr",
            "basis": basis(),
            "overdue": (),
            "links": {"default": "/conventions/CV-2026-0001/", "G06": "/licence-commerciale/"},
            **parts,
        }
    )


def release(**facts) -> gate.ReleaseFacts:
    return gate.ReleaseFacts(
        **{
            "ref": "release:1",
            "kind": "experimental",
            "status": "ready",
            "convention_ref": "CV-2026-0001",
            "columns": COLUMNS,
            "key_ref": "convention:12",
            "opposition_snapshot_at": NOW - timedelta(hours=2),
            "opposed_inside": False,
            "identifiers_found": False,
            "k_min": 5,
            "receipts": tuple(gate.ReceiptFacts(name, is_done=True, digest=SHA) for name in OBLIGATIONS),
            "manifest": {"decision_id": "d", "sha256": SHA, "licence": "expérimentation", "recipe_sha256": SHA},
            **facts,
        }
    )


def a_download(**parts) -> gate.Case:
    return a_case(
        **{"action": "release_download", "request": request(object_ref="release:1"), "release": release(), **parts}
    )


def a_road_case(**parts) -> gate.Case:
    """Not personal: traffic counts, taken by a person on a declared laptop."""
    counts = dataset(
        title="Trafic", is_personal=False, domains=("road_infrastructure",), domain_labels=("infrastructure routière",),
        columns=(gate.ColumnFacts("flow", "measure", ""),), service=None,
    )  # fmt: skip
    return a_case(
        **{
            "dataset": counts,
            "zone": zone(kind="av_motorway"),
            "convention": convention(columns=approved("flow"), environment_klass="workstation"),
            "environment": environment(klass="workstation"),
            "request": request(columns=("flow",), delivery_mode="file_download"),
            "notice": None,
            "key": None,
            "oppositions_synced_at": None,
            **parts,
        }
    )


def an_order(**facts) -> gate.OrderFacts:
    return gate.OrderFacts(
        **{
            "person_ref": "user:7",
            "environment_id": 9,
            "action": "release_download",
            "object_ref": "release:1",
            "second_factor_at": NOW - timedelta(hours=4),
            "given_at": NOW - timedelta(hours=3),
            "expires_at": NOW + timedelta(hours=21),
            "used_at": None,
            "used_by": "",
            **facts,
        }
    )


def a_machine_download(**parts) -> gate.Case:
    return a_download(
        **{
            "person": person(second_factor_at=None),
            "credential": gate.CredentialFacts("credential:3", 9, None),
            "order": an_order(),
            **parts,
        }
    )


def a_curve_case(**parts) -> gate.Case:
    """Half-hour load curves of homes, on consent, whose holder is the grid operator: everybody has signed."""
    roles = {"customer_id": "subject_key", "reading_datetime": "timestamp", "kwh": "measure"}
    curves = dataset(
        title="Courbes de charge", domains=("energy_metering",), domain_labels=("comptage d'énergie",), service=None,
        columns=tuple(gate.ColumnFacts(name, role, "") for name, role in roles.items()), consent_required=True,
    )  # fmt: skip
    parties = ("operator", "experimenter", "holder")
    return a_case(
        **{
            "dataset": curves,
            "zone": zone(kind="eco_district"),
            "standing": standing(domains=("energy_metering",), zone_kinds=("eco_district",)),
            "person": person(trainings=(("energy", date(2026, 10, 1)),)),
            "convention": convention(
                columns=approved(*roles), required_parties=parties, signatures=tuple(map(signature, parties)),
                party_names=(("operator", "Aménageur"), ("experimenter", "Flexio"), ("holder", "Réseau du Drac")),
                recipient_category="company", purpose_codes=("energy_flexibility_rnd",),
            ),
            "request": request(columns=tuple(roles), purpose_code="energy_flexibility_rnd"),
            **parts,
        }
    )  # fmt: skip
