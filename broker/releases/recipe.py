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
    sample          {"per_mille"} or absent: the share of subjects who may be in it
    daily           {"column"} or absent: a subject bears another pseudonym every day of that moment
    trace           {"latitude", "longitude", "time"} or absent: the points of trips whose ends are cut
    rank_by         {"column", "order": "number" | "time"} or null: the order of a subject's events
    output          {"format": "parquet" | "csv", "sealed": bool}
    engine          {"plan": 3, "duckdb": "2.0.0"}
    ruleset         version of the rules under which it was decided

Format 2, for several tables, or one whose minors are told by a birth or whose record keys leave, says otherwise:

    format          2
    dataset         {"slug", "version", "sha256", "rows"}
    subjects        {"table", "column"}: the table of one row a subject, or the only one; null without personal data
    minors          {"rule", "birth": {"column" of the subjects' table, "as": "date" | "year"} or null, "on": the day
                    the version was received, "because"?}
    tables          in order: {"name", "source_sha256", "rows", "reading", "source_columns", "columns", "rank_by",
                    "quasi_identifiers", "identifiers", "blanked"} as above, and
        subject     null (its rows are of no person), {"column"} (it holds the subject key), or {"column", "through":
                    [table, key]} (it holds a key of a table that reaches the subject)
        keys        [{"column", "of": [table, key]}]: columns re-keyed in the domain of the key they refer to
        age, event  the columns that tell the subject's age and the moment of the row, or null
        leaves      of a released table of no person: "referred" (rows that a row that leaves refers to) or "whole";
                    absent from recipes made before, whose tables leave whole
    A table none of whose columns are asked is read for what it tells of the others, and does not leave.

`tables.tables_of` reads both. The rules of several tables:

* A re-keyed value: the first 32 characters of the HMAC of `table.key`, U+001F and the value, under the convention's
  key. A key that refers to the subjects' is their pseudonym, and empty where that subject does not leave. One that
  refers to the own key of another released table, or of its own, is empty where no row of that key leaves: the
  manifest counts them (`references_emptied`).
* `no_subject`: the row names no subject of the subjects' table; a key that leads to two subjects leads to none.
* `minor`: the subject's age at the row's event is below 18 or unknown: the age of the row, or the years from birth to
  event; of a year of birth, the one before its difference (the birthday may be to come). The subject's own row leaves
  if one of their rows in another table is an adult's, or if they have none and are 18 on the day of reception. Rows of
  a table without event or age do not count there, nor do they leave where minors are excluded.
* `small_class`: subjects of a class too small by their own row's quasi-identifiers take every row along; then rows of
  a class too small by their own quasi-identifiers and their subject's leave alone. A table of no person counts rows.
* Rows of no person (staff, units, codes) leave in the order of their re-keyed keys, then of their columns. Where rows
  of other released tables refer to their key, those that no row that leaves refers to stay: `unreferred`, counted
  before classes are made; a row that leaves takes along those that it refers to in its own table, eight steps up. A
  table that none refers to, or of a circle of such tables, leaves whole.
* A measure is clipped where its table or the subjects' releases a quasi-identifier.
* Identifiers: no text of any table may be a subject key or direct identifier of any table, nor have it among its words
  (six signs or more, nine where they are all figures; one of several words is found whatever the capitals, the accents
  and what stands between), nor be or hold those of its own row (six), nor hold what looks like a social security
  number, an e-mail address or a telephone number.
* The share of `suppression_max_pct` holds of the subjects, and of the rows of all tables together.
* Several tables leave as one ZIP: stored members `data/<table>.<format>` in order, then licence and descriptions.

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
* Sample: a subject is in when characters 41 to 48 of their HMAC, as hexadecimal, are below floor(2^32 * per_mille /
  1000): the same subjects for every recipe of a convention. The others' rows are `not_sampled`, after `no_consent`.
* Day: the first ten signs of the moment as ISO text ("" where there is none); the pseudonym is the HMAC of the subject,
  U+001F and that day, and `event_rank` counts within it. Objections, samples and classes of k are of subjects.
* Trace: the rows of a subject's day that have a place and a moment, in order of time; of one moment the first line. How
  far a point is from another is sqrt(x^2 + y^2) metres, with y = 111195 * difference of latitudes and x = 111195 *
  difference of longitudes * cos(its own latitude). A point rests if the first one 600 s or more after it, or the last
  one 600 s or more before it, is less than 100 m away. Points part into trips where more than 600 s lie between two,
  and where rest begins or ends: midnight parts them too. Those that rest, those less than 300 + (characters 49 to 56 of
  the day's HMAC) mod 201 metres from the first point of their trip, or less than 300 + (characters 57 to 64) mod 201
  from its last, and all but the first of those left in a minute, are `trimmed`, after `minor`: nothing is measured on
  them.
* `event_rank`: 1, 2, 3 ... within the subject among released rows, by `rank_by` then by line of the source.
* Moments: a text that ends with an offset from UTC is read as the local time that it writes, the offset passed over; a
  Parquet moment with a zone is told in UTC.
* Shift in days: (characters 33 to 40 of the subject's HMAC, as hexadecimal) mod 365, minus 182; in whole weeks
  (`shift_weeks`): the same number mod 9, times 7, minus 28.
* Order: pseudonym, then event rank; without personal data, the order of the source.
"""

import hashlib

import rfc8785
from django.utils.translation import gettext as _

from broker import clock
from broker.errors import BadInput
from broker.releases.tables import is_released
from consent import codes, consents, treatments
from zones import groups

PLAN = 3
SUPPRESSION_MAX_PCT = 5
RESERVED = ("pseudonym", "event_rank")


def canonical(recipe: dict) -> bytes:
    """The bytes that are hashed. Source: RFC 8785."""
    return rfc8785.dumps(recipe)


def sha256(recipe: dict) -> str:
    return hashlib.sha256(canonical(recipe)).hexdigest()


def compose(
    *, convention, version, offer_columns, wanted, ruleset: str, duckdb: str, per_mille: int | None = None
) -> dict:
    """The recipe of a release of `version` for `convention`.

    `offer_columns` are the offer's columns with their `column`; `wanted` the paths asked among them. The subject keys
    of the tables asked always leave, as pseudonyms. Raises BadInput when a path is not offered, when nothing would be
    left, or when a table cannot be told from a minor's.
    """
    dataset = version.dataset
    offered = {item.column.path: item for item in offer_columns}
    if unknown := sorted(set(wanted) - offered.keys()):
        raise BadInput(
            _("Ces colonnes ne font pas partie de l'offre : %(names)s. Retirez-les de la demande.")
            % {"names": ", ".join(unknown)}
        )
    every = list(dataset.columns.select_related("table", "references").order_by("table__position", "position"))
    for column in every:
        column.dataset = dataset
    if taken := [c.path for c in every if c.name.lower() in RESERVED or c.name.lower().startswith("terrain_")]:
        raise BadInput(
            _("Ces noms de colonnes sont réservés à la remise : %(names)s. Renommez-les dans la source.")
            % {"names": ", ".join(taken)}
        )
    if dataset.is_personal and not any(c.role == "subject_key" for c in every):
        raise BadInput(
            _("Ce jeu contient des données personnelles sans clé de sujet : son responsable doit l'indiquer.")
        )
    environment = convention.offer.delivery_mode == "environment"
    made = _Tables(version, every, offered, set(wanted), environment=environment).made()
    left = [c for t in made for c in t["columns"] if c["treatment"]["kind"] not in ("drop", "pseudonym", "rekey")]
    if not left:
        raise BadInput(_("Aucune colonne ne resterait dans la remise. Cochez au moins une colonne offerte."))
    shifts = {f"{t['name']}.{c['name']}": c["treatment"] for t in made for c in t["columns"]}
    if refused := treatments.disagreements({p: way for p, way in shifts.items() if way["kind"].startswith("shift")}):
        raise BadInput(" ".join(refused))
    minors = _minors(convention, version, every)
    common = {
        "kind": "experimental",
        "convention": convention.ref,
        "personal": dataset.is_personal,
        "consent": (
            {"purpose": convention.purpose_code, "recipient": consents.category_of(convention.organisation)}
            if dataset.consent_required
            else None
        ),
        "k": (
            treatments.threshold(
                dataset.domains, convention.offer.delivery_mode, consented=dataset.consent_required
            )
            if dataset.is_personal
            else 0
        ),
        "suppression_max_pct": SUPPRESSION_MAX_PCT,
        "output": {"format": "parquet" if environment else "csv", "sealed": environment},
        "engine": {"plan": PLAN, "duckdb": duckdb},
        "ruleset": ruleset,
        **({"sample": {"per_mille": per_mille}} if per_mille and dataset.is_personal else {}),
    }  # fmt: skip
    daily = treatments.day_of(every) if dataset.is_personal else None
    if len({c.table_id for c in every}) > 1 or minors.get("birth") or made[0]["keys"]:
        if daily:
            raise BadInput(" ".join(_joining_days(every, made[0], minors)))
        return {**common, **_format_2(version, every, made, minors)}
    [only] = made
    told = {name: only[name] for name in TOLD_BY_ONE}
    return {
        "format": 1,
        **common,
        **told,
        **_by_day(daily, only["columns"], environment=environment),
        "dataset": {
            "slug": dataset.slug, "version": version.number, "source_sha256": version.sha256, "rows": version.rows,
        },
        "subject_key": only["subject"]["column"] if only["subject"] else None,
        "minors": {"age_column": only["age"], **minors},
    }  # fmt: skip


# What a recipe of one table says of it without naming it.
TOLD_BY_ONE = (
    "reading", "source_columns", "columns", "identifiers", "quasi_identifiers", "blanked", "rank_by",
)  # fmt: skip


def _format_2(version, every, made: list[dict], minors: dict) -> dict:
    """What format 2 says otherwise: the tables, whose subjects they are, by which birth minors are told."""
    dataset = version.dataset
    subjects = None
    if dataset.is_personal:
        head = _head(every)
        subjects = {"table": head.table.name, "column": head.name}
        _require_ages(made, subjects["table"], minors)
    return {
        "format": 2,
        "dataset": {"slug": dataset.slug, "version": version.number, "sha256": version.sha256, "rows": version.rows},
        "subjects": subjects,
        "minors": {"on": version.received_at.astimezone(clock.PARIS).date().isoformat(), "birth": None, **minors},
        "tables": made,
    }


def _head(every):
    """The subject key of the table that has one row a subject: the one that the others refer to, or the only one."""
    keys = [c for c in every if c.role == "subject_key"]
    roots = {_root(c).pk: _root(c) for c in keys}
    if len(roots) != 1:
        raise BadInput(
            _("Plusieurs tables ont une clé de sujet sans dire laquelle est celle des personnes : %(names)s. Le "
              "responsable du jeu doit indiquer à quelle clé les autres renvoient.")
            % {"names": ", ".join(sorted(c.path for c in roots.values()))}
        )  # fmt: skip
    return next(iter(roots.values()))


def _root(column):
    """The key that `column` refers to in the end: itself, where it refers to none."""
    seen = set()
    while column.references is not None and column.pk not in seen:
        seen.add(column.pk)
        column = column.references
    return column


def _require_ages(made: list[dict], subjects: str, minors: dict) -> None:
    """Raises BadInput naming a table of persons whose rows have no age."""
    if minors["rule"] != "exclude":
        return
    alone = len(made) == 1
    for table in made:
        has_birth = minors.get("birth") and (table["event"] or table["name"] == subjects or alone)
        if is_released(table) and table["subject"] and not table["age"] and not has_birth:
            raise BadInput(
                _("Rien ne dit l'âge auquel une ligne de la table « %(table)s » se rapporte : les mineurs ne peuvent "
                  "pas en être exclus. L'opérateur doit indiquer une naissance et la date des lignes, ou un âge.")
                % {"table": table["name"]}
            )  # fmt: skip


class _Tables:
    """The tables of a recipe, as the columns of a dataset declare them."""

    def __init__(self, version, every, offered: dict, wanted: set[str], *, environment: bool):
        self.version, self.every, self.offered, self.wanted = version, every, offered, wanted
        self.environment = environment  # secure: what is asked stays inside
        self.personal = version.dataset.is_personal
        self.files = {file.table_id: file for file in version.files.select_related("table")}
        self.columns: dict[int, list] = {}
        for column in every:
            self.columns.setdefault(column.table_id, []).append(column)
        self.several = len(self.columns) > 1

    def made(self) -> list[dict]:
        """Those that are asked, and those that must be read for what they tell of the others: every table of persons
        and every one that holds direct identifiers."""
        tables = [self._table(number) for number in self.columns]
        return _with_leaving(
            [
                one
                for one in tables
                if one["columns"] or (self.personal and (one["subject"] or one["identifiers"])) or not self.several
            ],
            personal=self.personal,
        )

    def _table(self, number: int) -> dict:
        columns, file = self.columns[number], self.files[number]
        asked = any(c.path in self.wanted for c in columns)
        subject = self._subject(number) if self.personal else None
        released, blanked = [], []
        for column in columns:
            if column.path not in self.wanted and not (asked and self.personal and column.role == "subject_key"):
                continue
            item = self.offered.get(column.path)
            approved = item.approves_sensitive if item else False
            treatment = (item.treatment if item else None) or treatments.default_treatment(column, approved=approved)
            if refused := treatments.problems(treatment, column, approved=approved, columns=columns):
                raise BadInput(" ".join(refused))
            treatment = _settled(treatments.with_codes(treatment, column), self.version)
            if self.personal and not self.environment:
                treatment = treatments.outside(treatment, column)
            of_nobody = self.personal and not subject  # the date of a unit's opening, of a code's validity
            if (of_nobody or column.type == "empty") and treatment["kind"] in ("shift_days", "shift_weeks"):
                treatment = {"kind": "keep"}
            released.append({"name": column.name, "type": column.type, "role": column.role, "treatment": treatment})
            if self.personal and treatment["kind"] != "drop" and treatment.get("codes"):
                blanked.append(_blanked(column.name, treatment, approved=approved))
        if refused := treatments.disagreements({c["name"]: c["treatment"] for c in released}):
            raise BadInput(" ".join(refused))
        moment = next((c.name for c in columns if c.role == "timestamp"), None)
        age = next((c.name for c in columns if treatments.is_age(c)), None) if self.personal else None
        return {
            "name": file.table.name, "source_sha256": file.sha256, "rows": file.rows, "reading": file.reading,
            "source_columns": [c.name for c in columns], "columns": released, "subject": subject,
            "keys": [self._key(c) for c in columns if _kind_of(c, released) == "rekey"],
            "age": age, "event": moment if self._has_events(number, subject) else None,
            "rank_by": _rank(columns) if subject else None,
            "quasi_identifiers": [
                c["name"] for c in released if self.personal and treatments.is_seen(c["treatment"], c["role"])
            ],
            "identifiers": [c.name for c in columns if c.role == "direct_identifier"] if self.personal else [],
            "blanked": blanked,
        }  # fmt: skip

    def _has_events(self, number: int, subject: dict | None) -> bool:
        """Whether the rows are events of a subject: the subjects' own table is none, unless it is the only one."""
        return subject is not None and not (self.several and _head(self.every).table_id == number)

    def _key(self, column) -> dict:
        root = _root(column)
        return {"column": column.name, "of": [root.table.name, root.name]}

    def _subject(self, number: int, *, above: tuple[int, ...] = ()) -> dict | None:
        """How a row of the table reaches its subject: it holds the key, or refers to a table that reaches it."""
        for column in self.columns[number]:
            if column.role == "subject_key":
                return {"column": column.name}
        for column in self.columns[number]:
            root = _root(column)
            if root.pk == column.pk or root.table_id in (number, *above):
                continue
            if self._subject(root.table_id, above=(number, *above)):
                return {"column": column.name, "through": [root.table.name, root.name]}
        return None


def _with_leaving(tables: list[dict], *, personal: bool) -> list[dict]:
    """The tables, those of no person that leave saying which of their rows do."""
    released = [one for one in tables if is_released(one)]
    nobodys = [one for one in released if personal and not one["subject"]]
    if not any(one["subject"] for one in released):
        nobodys = []
    by = {one["name"]: _referring(one, released) for one in nobodys}
    waiting = {name for name, names in by.items() if names}
    while ready := {name for name in waiting if not by[name] & (waiting - {name})}:
        waiting -= ready
    return [
        {**one, "leaves": "referred" if by[one["name"]] and one["name"] not in waiting else "whole"}
        if one in nobodys
        else one
        for one in tables
    ]


def _referring(table: dict, released: list[dict]) -> set[str]:
    """The other released tables whose rows name those of `table` by a key that leaves with it."""
    own = {one["column"] for one in table["keys"] if one["of"] == [table["name"], one["column"]]}
    wanted = [[table["name"], key] for key in own]
    return {one["name"] for one in released if one is not table and any(key["of"] in wanted for key in one["keys"])}


def _kind_of(column, released: list[dict]) -> str:
    return next((c["treatment"]["kind"] for c in released if c["name"] == column.name), "drop")


def _minors(convention, version, every) -> dict:
    """The minors' rule (G28). The operator's reason counts only where no column could contradict it."""
    dataset = version.dataset
    if not dataset.is_personal or convention.minors_covered:
        return {"rule": "covered"}
    ages = [c for c in every if treatments.is_age(c)]
    births = [] if ages and len({c.table_id for c in every}) == 1 else _births(every)
    if not ages and not births and dataset.no_minors_because:
        return {"rule": "none", "because": dataset.no_minors_because}
    return {"rule": "exclude", **({"birth": births[0]} if births else {})}


def _births(every) -> list[dict]:
    """The columns of the subjects' table that tell a birth, days before years."""
    head = _head(every)
    told = [c for c in every if c.table_id == head.table_id and c.role == "birth"]
    found = [{"column": c.name, "as": "year" if c.type.lower() in treatments.NUMBERS else "date"} for c in told]
    return sorted(found, key=lambda one: one["as"] != "date")


def _blanked(name: str, treatment: dict, *, approved: bool) -> dict:
    """What is blanked in one coded column: the tables themselves, so that the recipe is enough to build again."""
    classes = treatments.blanked_classes(treatment, approved=approved)
    of = codes.reinforced(treatment["codes"], classes)
    return {
        "column": name, "codes": treatment["codes"], "classes": list(classes),
        "categories": list(of.categories), "beginnings": list(of.beginnings),
    }  # fmt: skip


def _joining_days(every, table: dict, minors: dict) -> list[str]:
    """Why a pseudonym of a day would not last a day, each with its mend: what joins a person's days gives back the
    trace that it cuts, and the ends of trips that another table tells are not trimmed (docs/adr/0022)."""
    found = []
    if len(names := list(dict.fromkeys(c.table.name for c in every))) > 1:
        found.append(
            _("Ce jeu de trajets ou de recharges a plusieurs tables (%(names)s) : son pseudonyme change chaque jour, "
              "et leurs clés rejoindraient les jours d'une même personne. Enregistrez la table des points ou des "
              "recharges comme un jeu à part, avec les colonnes des autres dont l'expérimentation a besoin.")
            % {"names": ", ".join(names)}
        )  # fmt: skip
    elif table["keys"]:
        found.append(
            _("Un pseudonyme change ici chaque jour : la clé de lien %(names)s suivrait une personne d'un jour à "
              "l'autre. Retirez-la de la demande.")
            % {"names": ", ".join(f"« {one['column']} »" for one in table["keys"])}
        )  # fmt: skip
    if minors.get("birth"):
        found.append(
            _("L'âge y est celui du jour du trajet, pas celui d'une naissance : ajoutez à la source une colonne d'âge, "
              "ou dites sur la fiche du jeu pourquoi aucune ligne n'est celle d'un mineur.")
        )  # fmt: skip
    return found


def _by_day(daily: str | None, columns: list[dict], *, environment: bool) -> dict:
    """A new pseudonym every day, and the trips whose ends are cut. Raises BadInput where they may not leave so."""
    points = {c["treatment"]["axis"]: c["name"] for c in columns if c["treatment"]["kind"] == "trim_trace"}
    if not daily:
        if points:
            raise BadInput(_("Un trajet ne se coupe qu'avec l'heure de ses points : indiquez la colonne qui la dit."))
        return {}
    if any(c["treatment"]["kind"].startswith("shift") for c in columns):
        raise BadInput(_("Un pseudonyme d'un jour et des dates décalées ne vont pas ensemble : coupez l'heure."))
    if points and not environment:
        raise BadInput(
            _("Hors d'un environnement sécurisé, un trajet ne part qu'au carreau d'un kilomètre : changez l'offre.")
        )
    for column in columns:
        if column["treatment"]["kind"] == "pseudonym":
            column["treatment"] = {**column["treatment"], "per": "day"}
    return {"daily": {"column": daily}, **({"trace": {**points, "time": daily}} if points else {})}


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
