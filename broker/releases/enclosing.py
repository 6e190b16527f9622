"""What goes with a release beside its file: licence text, data package, Croissant. Pure but for the rows it reads."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from broker.releases import licence, packages
from broker.releases.models import Release
from broker.releases.tables import tables_of
from consent import treatments

DATAPACKAGE, CROISSANT, LICENCE = "datapackage.json", "croissant.json", licence.FILE_NAME
TYPES = {
    DATAPACKAGE: "application/json",
    CROISSANT: "application/ld+json",
    LICENCE: "text/plain; charset=utf-8",
}


def described(release: Release, mark: str) -> dict:
    """{"about", "words", "licence"}: what `packages` says of the release, what was done to each column by table, and
    the text of the licence. A rebuild takes them from the release it replaces, whatever was renamed since: nothing in
    them may part the bytes of two builds of one recipe."""
    if (former := release.replaces) and "described" in former.manifest:
        return {**former.manifest["described"], "licence": former.enclosed[LICENCE]}
    return {"about": _about(release, mark), "words": words_of(release.recipe), "licence": licence.TEXT}


def _about(release: Release, mark: str) -> dict:
    """Nothing of the moment, of its number or of who asked for it: two releases of one recipe are described alike."""
    recipe, version = release.recipe, release.dataset_version
    dataset = version.dataset
    source = _("%(title)s, version %(number)s") % {"title": dataset.title, "number": version.number}
    return {
        "name": dataset.slug,
        "title": dataset.title,
        "description": dataset.summary,
        "version": str(version.number),
        "published": version.received_at.date().isoformat(),
        "creator": str(dataset.holder),
        "url": settings.SITE_URL.rstrip("/")
        + reverse("convention-notice", settings.ROOT_URLCONF, [recipe["convention"]]),
        "convention": recipe["convention"],
        "recipe_sha256": release.recipe_sha256,
        "ruleset": recipe["ruleset"],
        "watermark": mark,
        "sources": [{"title": source, "sha256": version.sha256, "licence": dataset.licence}],
        "licence": licence.facts(),
    }


def words_of(recipe: dict) -> dict[str, dict[str, str]]:
    """Table -> column of the file -> what was done to it."""
    added = {
        "pseudonym": _("pseudonyme de la personne, propre à la convention"),
        "event_rank": _("rang de l'événement de la personne"),
    }
    if recipe.get("daily"):
        added = {
            "pseudonym": _("pseudonyme de la personne pour un jour, propre à la convention"),
            "event_rank": _("rang de l'événement de la personne dans le jour"),
        }
    return {
        one["name"]: added | {c["name"]: treatments.words(c["treatment"]) for c in one["columns"]}
        for one in tables_of(recipe)
    }


def compose(described: dict, *, files: list[dict], clear: dict) -> dict[str, str]:
    """Each enclosed file: name -> text. `clear`: {"path", "sha256", "bytes"} of the file once opened; several tables
    are members of it."""
    facts, shown = described["about"], packages.with_words(files, described["words"])
    archive = clear if files[0]["path"] != clear["path"] else None
    return {
        LICENCE: described["licence"],
        DATAPACKAGE: packages.as_bytes(packages.datapackage(about=facts, files=shown)).decode(),
        CROISSANT: packages.as_bytes(packages.croissant(about=facts, files=shown, archive=archive)).decode(),
    }
