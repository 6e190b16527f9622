"""What accompanies a release: its licence, the receipts of its treatments, its manifest. Pure.

What recipients read never tells how many persons objected (G26) or how many rows were minors' (legal-gate, scenario
12): those rows are told as one sum; the operator reads them one by one on the release's page.
"""

import hashlib
import hmac

import rfc8785
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from broker.releases import words
from broker.releases.tables import blanked_of, columns_of, quasi_of, tables_of
from zones.reading import Reading, mends_in_words

NAMED_GROUPS = 6  # the certificate stays one paragraph; the page draws every group


def watermark(key: bytes, convention: str, recipe_sha256: str) -> str:
    """The mark of a convention in its releases: without the key nobody makes it, two conventions never share one."""
    return hmac.digest(key, f"watermark:{convention}:{recipe_sha256}".encode(), "sha256").hex()[:32]


def receipts(obligations: list[str], recipe: dict, result: dict, mark: str) -> list[dict]:
    """One receipt for each obligation of the decision that the build knows how to carry out: what, how many, proof.

    An obligation that no treatment answers has no receipt: the database then refuses the release (legal-gate 6.1).
    """
    dropped = result["dropped"]
    treatments = {path: c["treatment"]["kind"] for path, c in columns_of(recipe).items()}
    codes = blanked_of(recipe)
    blanked = result.get("blanked", {})
    merged, clipped = sum(result["merged"].values()), sum(result["clipped"].values())
    known = {
        "apply_profile": (
            len(treatments),
            {
                "treatments": treatments,
                "clipped": result["clipped"],
                "bounds": result["bounds"],
                "identifiers_found": result["identifiers"],
                "mended_at_reading": _mended(recipe),
            },
            not any(result["identifiers"].values()),
        ),
        "exclude_opposed_subjects": (
            dropped.get("opposed", 0),
            {"rows": dropped.get("opposed", 0), "register_sha256": result["opposed_sha256"]},
            True,
        ),
        "keep_consented_subjects_only": (
            dropped.get("no_consent", 0),
            {
                "rows": dropped.get("no_consent", 0),
                "consent": recipe.get("consent"),
                "register_sha256": result.get("consented_sha256", ""),
            },
            bool(recipe.get("consent")),
        ),
        "exclude_minors": (
            dropped.get("minor", 0),
            {"rows": dropped.get("minor", 0), "rule": recipe["minors"]},
            recipe["minors"]["rule"] == "exclude" or bool(recipe["minors"].get("because")),
        ),
        "generalise_or_suppress": (
            dropped.get("small_class", 0) + merged,
            {"suppressed": dropped.get("small_class", 0), "merged": result["merged"], "k_min": result["k_min"]},
            result["k_min"] is not None and result["k_min"] >= recipe["k"],
        ),
        "blank_reinforced_codes": (
            sum(blanked.values()),
            {"cells": blanked, "classes": {one["column"]: one["classes"] for one in codes}},
            set(blanked) == {one["column"] for one in codes},
        ),
        "mark_experimental": (
            1,
            {"watermark": mark, "licence_sha256": _licence(result)["sha256"], "clear_sha256": result["clear_sha256"]},
            True,
        ),
    }
    # Coded columns lose their reinforced cells whether or not the decision names it: G24 denies, it does not oblige.
    owed = [*obligations, "blank_reinforced_codes"] if codes else obligations
    found = []
    for name in owed:
        if name not in known:
            continue
        count, figures, is_done = known[name]
        what = words.receipt(name, figures, recipe)
        if name == "apply_profile":
            figures = {**figures, "clipped_cells": clipped}
        if name in BY_TABLE and "tables" in result:
            figures = {**figures, "tables": {one["name"]: one["dropped"] for one in result["tables"]}}
        digest = hashlib.sha256(rfc8785.dumps({"obligation": name, "count": count, **figures})).hexdigest()
        found.append(
            {"obligation": name, "what": what, "count": count, "digest": digest, "figures": figures, "is_done": is_done}
        )
    return found


def _mended(recipe: dict) -> dict:
    """What was mended as each file was read, by table where there are several."""
    told = {one["name"]: one["reading"].get("mended", {}) for one in tables_of(recipe)}
    return next(iter(told.values())) if len(told) == 1 else told


def _licence(result: dict) -> dict:
    return result["described"]["about"]["licence"]


def certificate(recipe: dict, result: dict, *, title: str, period: str) -> str:
    """One paragraph that goes with the data when a model is trained on them (legal-gate, section 7.3)."""
    share = 100 * result["rows_out"] / result["rows_in"] if result["rows_in"] else 0
    parts = [
        _(
            "Certificat de données d'apprentissage : « %(title)s », version %(version)s%(period)s ; "
            "%(rows)s lignes remises, soit %(share)s %% de la source."
        )
        % {
            "title": title,
            "version": recipe["dataset"]["version"],
            "period": f", {period}" if period else "",
            "rows": number_format(result["rows_out"], force_grouping=True),
            "share": f"{share:.1f}".replace(".", ","),
        }
    ]
    if recipe["personal"]:
        parts.append(
            _("%(subjects)s personnes ; au moins %(k)s personnes partagent chaque combinaison de : %(names)s.")
            % {
                "subjects": number_format(result["subjects_out"], force_grouping=True),
                "k": result["k_min"],
                "names": ", ".join(quasi_of(recipe)) or "—",
            }
        )
        parts.append(
            _("Mineurs et personnes d'âge inconnu absents : un modèle appris ici ne vaut pas pour eux.")
            if recipe["minors"]["rule"] == "exclude"
            else _("Aucune ligne de mineur : %(because)s.")
            % {"because": recipe["minors"].get("because", "").rstrip(".")}
        )
        if under := under_represented(result):
            named = ", ".join(under[:NAMED_GROUPS])
            more = _(" et %(n)s autres") % {"n": len(under) - NAMED_GROUPS} if len(under) > NAMED_GROUPS else ""
            parts.append(_("Groupes sous-représentés par les retraits : %(groups)s.") % {"groups": named + more})
    else:
        parts.append(_("Données sans personne, remises telles que lues."))
    return " ".join(parts)


def under_represented(result: dict) -> list[str]:
    """Groups that lost three times the mean share of rows or more (legal-gate, section 7.3)."""
    lost = result["dropped"].get("small_class", 0)
    base = result["rows_out"] + lost
    if not lost:
        return []
    return [
        f"{column} : {value if value is not None else _('non renseigné')}"
        for column, groups in result["losses"].items()
        for value, before, gone in groups
        if before and gone / before >= 3 * lost / base
    ]


def lost_to_tell(dropped: dict) -> dict[str, int]:
    """Rows lost, as recipients may read them: what they chose, or what concerns no person, by itself."""
    protected = sum(dropped.get(name, 0) for name in ("no_subject", "opposed", "no_consent", "minor"))
    chosen = {name: dropped[name] for name in ("not_sampled", "trimmed", "unreferred") if name in dropped}
    return {"protected_persons": protected, "small_classes": dropped.get("small_class", 0), **chosen}


def _told_of_table(one: dict) -> dict:
    """One table among several, as recipients read it."""
    rows = {"in": one["rows_in"], "out": one["rows_out"], "lost": lost_to_tell(one["dropped"])}
    emptied = {name: count for name, count in one.get("emptied", {}).items() if count}
    return {
        "name": one["name"], "rows": rows, "k": one["k_min"], **({"references_emptied": emptied} if emptied else {})
    }  # fmt: skip


def mends_of(recipe: dict) -> list[tuple[str, list[str]]]:
    """What was mended as each file was read, in words: (table, words)."""
    found = [(one["name"], list(mends_in_words(Reading.of(one["reading"])))) for one in tables_of(recipe)]
    if len(found) > 1:
        found = [
            (name, [_("%(table)s : %(words)s") % {"table": name, "words": w} for w in said]) for name, said in found
        ]
    return [(name, said) for name, said in found if said]


# Receipts that say what each table lost.
BY_TABLE = (
    "exclude_opposed_subjects", "keep_consented_subjects_only", "exclude_minors", "generalise_or_suppress",
)  # fmt: skip
TOLD_OF_A_FILE = ("table", "path", "format", "sha256", "bytes", "rows", "fields", "neutralised")
TOLD_COUNTS = ("blank_reinforced_codes",)  # counts of cells; counts of persons' rows are the operator's alone


def _told(receipt: dict) -> dict:
    """A receipt, as recipients read it."""
    names = ("obligation", "what", "digest", *(["count"] if receipt["obligation"] in TOLD_COUNTS else []))
    return {name: receipt[name] for name in names}


def canonical(manifest: dict) -> bytes:
    """The bytes that are signed and handed out. Source: RFC 8785."""
    return rfc8785.dumps(manifest)


def compose(
    *,
    release,
    recipe: dict,
    result: dict,
    mark: str,
    made: list[dict],
    file_name: str,
    built_at,
    enclosed: dict,
    signed_by: dict,
    rebuilt_from: dict | None = None,
) -> dict:
    """The manifest: recipe, versions, digests, decision, receipts, rows lost, licence, watermark, certificate.

    `enclosed`: the text of each file that goes with it; `signed_by`: who signs, with which key."""
    dataset = release.dataset_version.dataset
    return {
        "format": "terrain-manifest/2",
        "kind": "experimental",
        "release": str(release.pk),
        "convention": recipe["convention"],
        "dataset": {**recipe["dataset"], "title": dataset.title, "origin": dataset.origin, "licence": dataset.licence},
        "decision_id": str(release.decision_id),
        "ruleset": {"version": release.decision.ruleset_version, "sha256": release.decision.ruleset_sha256},
        "recipe": recipe,
        "recipe_sha256": release.recipe_sha256,
        "reading": [said for _table, mends in mends_of(recipe) for said in mends],
        "file_name": file_name,
        "sealed_to": result["sealed_to"],
        "size": result["size"],
        "sha256": result["sha256"],
        "clear_sha256": result["clear_sha256"],
        "rows": {"in": result["rows_in"], "out": result["rows_out"], "lost": lost_to_tell(result["dropped"])},
        **({"tables": [_told_of_table(one) for one in result["tables"]]} if "tables" in result else {}),
        "subjects": result["subjects_out"] if recipe["personal"] else None,
        "k": {"required": recipe["k"], "measured": result["k_min"]} if recipe["personal"] else None,
        "bounds": result["bounds"],
        "receipts": [_told(one) for one in made],
        "licence": result["described"]["licence"],
        "licence_version": _licence(result)["version"],
        "licence_sha256": _licence(result)["sha256"],
        "described": {name: result["described"][name] for name in ("about", "words")},
        "watermark": mark,
        "watermark_in": "file" if recipe["output"]["format"] == "parquet" else "manifest",
        "files": [{name: one[name] for name in TOLD_OF_A_FILE} for one in result["files"]],
        "enclosed": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(enclosed.items())},
        "signed_by": signed_by,
        "rebuilt_from": rebuilt_from,
        "certificate": certificate(recipe, result, title=dataset.title, period=dataset.period),
        "built_at": built_at.isoformat(),
    }
