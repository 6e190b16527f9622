"""Tools that nobody here wrote, asked what they think of what we describe. Imported by the tests that need them only:
the second one takes seconds to load."""

import os
import tempfile
from pathlib import Path


def refused_by_frictionless(datapackage: Path) -> list:
    """What `frictionless validate` reproaches a data package and its files with; nothing when it accepts them."""
    import frictionless

    return frictionless.validate(str(datapackage)).flatten(["title", "rowNumber", "fieldName", "note"])


def read_by_croissant(croissant: Path, record_set: str) -> list[dict]:
    """Every record that `mlcroissant load` reads, by field, digests checked. Raises when it refuses."""
    os.environ["CROISSANT_CACHE"] = tempfile.mkdtemp(prefix="croissant-")  # read once, when the library is loaded
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(croissant))
    assert not dataset.metadata.ctx.issues.errors
    return list(dataset.records(record_set=record_set))
