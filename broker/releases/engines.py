"""Which engine builds a release: the embedded one, or the Spark server of the settings for large versions."""

from importlib import metadata

from django.conf import settings
from django.utils.translation import gettext as _

from broker.errors import WrongState

LIBRARY = "pyspark-client"


def embedded() -> str:
    """The version of the embedded engine, without loading it: a page only names it."""
    return metadata.version("duckdb")


def chosen(rows: int | None, engine: dict) -> dict:
    """The engine of a recipe whose embedded one would be `engine`, for a version of `rows` rows. Raises WrongState
    where a server is set without the library that speaks to it."""
    if not settings.SPARK_REMOTE or (rows or 0) < settings.SPARK_ROWS:
        return engine
    try:
        version = metadata.version(LIBRARY)
    except metadata.PackageNotFoundError:
        raise WrongState(
            _(
                "Les remises de cette taille demandent le moteur Spark, dont la bibliothèque n'est pas installée. "
                "L'opérateur doit l'installer ou retirer TERRAIN_SPARK."
            )
        ) from None
    return {"plan": engine["plan"], "spark": version}


def server_of(recipe: dict) -> dict | None:
    """What the job says of the server, when the recipe asks for one. Raises WrongState when none is set."""
    if "spark" not in recipe["engine"]:
        return None
    if not settings.SPARK_REMOTE:
        raise WrongState(
            _(
                "Cette remise a été demandée au moteur Spark, dont aucun serveur n'est plus indiqué. L'opérateur doit "
                "remettre son adresse (TERRAIN_SPARK) ; à défaut, demandez une nouvelle remise."
            )
        )
    return {"remote": settings.SPARK_REMOTE, "folder": str(settings.SPARK_FOLDER)}


def in_words(engine: dict) -> str:
    """The engine of a recipe, as people read it."""
    if "spark" in engine:
        return _("Spark %(version)s") % {"version": engine["spark"]}
    return _("DuckDB %(version)s") % {"version": engine.get("duckdb", "—")}
