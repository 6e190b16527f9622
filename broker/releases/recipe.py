"""The recipe of a release: everything that decides its bytes, apart from the source and the keys. Pure.

A recipe is a JSON object; its canonical form (RFC 8785) is hashed, and the hash names it for ever:

    format          1
    kind            "experimental"
    convention      its reference: two conventions never share a recipe
    dataset         {"slug", "version", "source_sha256", "rows"}
    personal        whether the rows are about persons
    reading         how the file is read: delimiter, quote, missing marks ... (see `zones`)
    source_columns  every column of the file, in order: the header must say the same
    columns         what is asked, in source order: {"name", "type", "role", "treatment"}
    subject_key     the column that names the subject, or null
    identifiers     columns whose values may stand nowhere in the file (direct identifiers), beside the subject key
    consent         {"purpose", "recipient"}: only subjects who consent to this leave; null: they need not
    minors          {"rule": "exclude" | "covered" | "none", "age_column": name or null, "because": words or absent}
                    "none": no column tells an age, and the operator said why no row is a minor's
    quasi_identifiers   names of the released columns whose values make the classes of k
    k               distinct subjects in the smallest class
    suppression_max_pct     5: more suppressed rows than this share refuse the build
    blanked         columns of codes: {"column", "codes", "classes", "categories", "beginnings"}: a cell whose code is
                    of one of these is made empty (G24; `consent.codes` says how a code is compared)
    rank_by         {"column", "order": "number" | "time"} or null: the order of a subject's events
    output          {"format": "parquet" | "csv", "sealed": bool}
    engine          {"plan": 2, "duckdb": "2.0.0"}
    ruleset         version of the rules under which it was decided

How the treatments are measured, so that a stranger finds the same bytes:

* Rows lost, each counted under the first reason that holds: `no_subject` (personal data without a subject key),
  `opposed`, `no_consent` (where the recipe asks for consent), `minor` (the age band of the *row* reaches below 18 or is
  missing), `small_class`. G28 excludes rows, not subjects: a person with a stay at 17 and a stay at 19 keeps the second
  one only, "age at the event".
* Blanked cells are empty before anything is measured; those of the rows that leave are counted.
* Categories and quantiles are measured on the rows left after `no_subject`, `opposed`, `no_consent` and `minor`.
  A category is rare when fewer than k distinct subjects hold it; a missing value stays missing.
* Quantiles are discrete: of n sorted values, the one numbered ceil(n * 5 / 1000) and ceil(n * 995 / 1000), from 1.
* Classes of k: distinct subjects by the released values of the quasi-identifiers, a missing value being a value.
* Ages: a band low-high is widened outward to multiples of five; from 90 on it is "90+".
* Births: the year that the value begins with, in bands of five; whoever was 90 in the `year` of the version's
  reception, or is older, in "<1940" (the band of the youngest of them, and all before).
* Communes: the `area` of the code (five signs) in `zones/reference/commune-groups-<edition>.csv.gz`, whose SHA-256 is
  in the treatment; a code that is not there is brought to its département. Then rare ones are merged.
* A measure that is rounded is clipped first; then floor(x * 10^d + 0.5) / 10^d in doubles.
* Points: `consent.treatments` gives the formula of the grid.
* `event_rank`: 1, 2, 3 ... within the subject among released rows, by `rank_by` then by line of the source.
* Shift in days: (characters 33 to 40 of the subject's HMAC, as hexadecimal) mod 365, minus 182; in whole weeks
  (`shift_weeks`): the same number mod 9, times 7, minus 28.
* Order: pseudonym, then event rank; without personal data, the order of the source.
"""

import hashlib

import rfc8785
from django.utils.translation import gettext as _

from broker.errors import BadInput
from consent import codes, consents, treatments
from zones import groups

PLAN = 2
SUPPRESSION_MAX_PCT = 5
RESERVED = ("pseudonym", "event_rank")


def canonical(recipe: dict) -> bytes:
    """The bytes that are hashed. Source: RFC 8785."""
    return rfc8785.dumps(recipe)


def sha256(recipe: dict) -> str:
    return hashlib.sha256(canonical(recipe)).hexdigest()


def compose(*, convention, version, offer_columns, wanted, ruleset: str, duckdb: str) -> dict:
    """The recipe of a release of `version` for `convention`.

    `offer_columns` are the offer's columns with their `column`; `wanted` the names asked among them. The subject
    key always leaves, as a pseudonym. Raises BadInput when a name is not offered or nothing would be left.
    """
    dataset = version.dataset
    offered = {item.column.name: item for item in offer_columns}
    if unknown := sorted(set(wanted) - offered.keys()):
        raise BadInput(
            _("Ces colonnes ne font pas partie de l'offre : %(names)s. Retirez-les de la demande.")
            % {"names": ", ".join(unknown)}
        )
    every = sorted(dataset.columns.all(), key=lambda column: column.position)
    for column in every:
        column.dataset = dataset
    if taken := [c.name for c in every if c.name.lower() in RESERVED or c.name.lower().startswith("terrain_")]:
        raise BadInput(
            _("Ces noms de colonnes sont réservés à la remise : %(names)s. Renommez-les dans la source.")
            % {"names": ", ".join(taken)}
        )
    subject = next((c.name for c in every if c.role == "subject_key"), None) if dataset.is_personal else None
    if dataset.is_personal and subject is None:
        raise BadInput(
            _("Ce jeu contient des données personnelles sans clé de sujet : son responsable doit l'indiquer.")
        )
    columns: list[dict] = []
    blanked: list[dict] = []
    for column in every:
        if column.name not in wanted and column.name != subject:
            continue
        item = offered.get(column.name)
        approved = item.approves_sensitive if item else False
        treatment = (item.treatment if item else None) or treatments.default_treatment(column, approved=approved)
        if refused := treatments.problems(treatment, column, approved=approved, columns=every):
            raise BadInput(" ".join(refused))
        treatment = _settled(treatments.with_codes(treatment, column), version)
        columns.append({"name": column.name, "type": column.type, "role": column.role, "treatment": treatment})
        if dataset.is_personal and treatment["kind"] != "drop" and treatment.get("codes"):
            blanked.append(_blanked(column.name, treatment, approved=approved))
    if not [c for c in columns if c["treatment"]["kind"] not in ("drop", "pseudonym")]:
        raise BadInput(_("Aucune colonne ne resterait dans la remise. Cochez au moins une colonne offerte."))
    if refused := treatments.disagreements({c["name"]: c["treatment"] for c in columns}):
        raise BadInput(" ".join(refused))
    personal = dataset.is_personal
    environment = convention.offer.delivery_mode == "environment"
    return {
        "format": 1,
        "kind": "experimental",
        "convention": convention.ref,
        "dataset": {
            "slug": dataset.slug, "version": version.number, "source_sha256": version.sha256, "rows": version.rows,
        },
        "personal": personal,
        "reading": version.reading,
        "source_columns": [column.name for column in every],
        "columns": columns,
        "subject_key": subject,
        "identifiers": [c.name for c in every if c.role == "direct_identifier"] if personal else [],
        "consent": (
            {"purpose": convention.purpose_code, "recipient": consents.category_of(convention.organisation)}
            if dataset.consent_required
            else None
        ),
        "minors": _minors(convention, dataset, every),
        "quasi_identifiers": [
            c["name"] for c in columns if personal and treatments.is_seen(c["treatment"], c["role"])
        ],
        "blanked": blanked,
        "k": (
            treatments.threshold(
                dataset.domains, convention.offer.delivery_mode, consented=dataset.consent_required
            )
            if personal
            else 0
        ),
        "suppression_max_pct": SUPPRESSION_MAX_PCT,
        "rank_by": _rank(every) if personal else None,
        "output": {"format": "parquet" if environment else "csv", "sealed": environment},
        "engine": {"plan": PLAN, "duckdb": duckdb},
        "ruleset": ruleset,
    }  # fmt: skip


def _minors(convention, dataset, columns) -> dict:
    """The minors' rule (G28). The operator's reason counts only where no column could contradict it."""
    if not dataset.is_personal:
        return {"rule": "covered", "age_column": None}
    age = next((c.name for c in columns if treatments.is_age(c)), None)
    if convention.minors_covered:
        return {"rule": "covered", "age_column": age}
    if age is None and dataset.no_minors_because:
        return {"rule": "none", "age_column": None, "because": dataset.no_minors_because}
    return {"rule": "exclude", "age_column": age}


def _blanked(name: str, treatment: dict, *, approved: bool) -> dict:
    """What is blanked in one coded column: the tables themselves, so that the recipe is enough to build again."""
    classes = treatments.blanked_classes(treatment, approved=approved)
    of = codes.reinforced(treatment["codes"], classes)
    return {
        "column": name, "codes": treatment["codes"], "classes": list(classes),
        "categories": list(of.categories), "beginnings": list(of.beginnings),
    }  # fmt: skip


def _settled(treatment: dict, version) -> dict:
    """`treatment` with what it rests on today: the year that ages are counted from, the table of communes."""
    match treatment["kind"]:
        case "birth_band":
            return {**treatment, "year": version.received_at.year}
        case "commune_group":
            return {**treatment, "edition": groups.EDITION, "sha256": groups.sha256()}
    return treatment


def _rank(columns) -> dict | None:
    """What orders a subject's events: the first moment; else the first numeric identifier, given in order of time."""
    for column in columns:
        if column.role == "timestamp":
            return {"column": column.name, "order": "time"}
    for column in columns:
        if column.role == "direct_identifier" and column.type.lower() in treatments.NUMBERS:
            return {"column": column.name, "order": "number"}
    return None
