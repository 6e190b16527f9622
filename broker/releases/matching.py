"""Pseudonyms from tokens and tokens from pseudonyms: asked of the engine by the zone's worker, kept by nobody.

Neither is the other's function: both come from the local identifier, so the source is read, its subject column alone,
in a process of its own, under an event that the caller writes. Only the worker has the keys.
"""

import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from consent import treatments
from consent.models import Convention
from zones import sources
from zones.models import Column, ColumnRole, DatasetVersion, VersionFile

MEMORY_MIB = 512


def pseudonyms_of(
    version: DatasetVersion, tokens: list[str], conventions: list[Convention], *, covered_by: str
) -> dict[int, list[str]]:
    """For each convention, the pseudonyms that the subjects of `tokens` (hexadecimal) bear in it, sorted."""
    found = _ask(version, by="token", values=tokens, conventions=conventions, covered_by=covered_by)
    return {int(ref): list(matched) for ref, matched in found.items()}


def tokens_of(
    version: DatasetVersion, pseudonyms: list[str], conventions: list[Convention], *, covered_by: str
) -> dict[int, dict[str, str]]:
    """For each convention, the zone token of each of `pseudonyms` that is one of its own."""
    found = _ask(version, by="pseudonym", values=pseudonyms, conventions=conventions, covered_by=covered_by)
    return {int(ref): dict(matched) for ref, matched in found.items()}


def with_a_key(conventions) -> list[Convention]:
    """Those whose key still exists: once destroyed, its pseudonyms cannot be linked again (invariant 7)."""
    refs = DataKey.objects.filter(purpose=DataKey.Purpose.PSEUDONYM, destroyed_at=None).values_list("ref", flat=True)
    known = set(refs.filter(ref__in=[f"convention:{one.pk}" for one in conventions]))
    return [one for one in conventions if f"convention:{one.pk}" in known]


def _of_subjects(version: DatasetVersion) -> tuple[VersionFile, list[Column]]:
    """The file of the table of subjects and its columns: of several that hold a subject key, the one that the others
    refer to."""
    keys = version.dataset.columns.filter(role=ColumnRole.SUBJECT_KEY).select_related("references")
    head = min(keys, key=lambda key: (key.references is not None, key.table_id), default=None)
    file = version.files.filter(table=head.table_id).get() if head else version.files.all()[0]
    return file, list(version.dataset.columns.filter(table=file.table_id).order_by("position"))


def _day_of(version: DatasetVersion, columns: list[Column]) -> dict:
    """What a recipe says of pseudonyms that last a day, where these do."""
    for column in columns:
        column.dataset = version.dataset
    day = treatments.day_of(columns)
    return {"daily": {"column": day}} if day else {}


def _ask(version: DatasetVersion, *, by: str, values: list[str], conventions, covered_by: str) -> dict:
    from broker.releases.tasks import run_engine

    keys, zone = KeyStore(), version.dataset.zone_id
    file, columns = _of_subjects(version)
    subject = next((column.name for column in columns if column.role == ColumnRole.SUBJECT_KEY), None)
    if subject is None or not values or not conventions:
        return {}
    settings.SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in settings.SCRATCH.glob("match-*"):  # one match at a time: what is there was left by a killed one
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="match-", dir=settings.SCRATCH))
    job = {
        "recipe": {
            "personal": True, "columns": [], "subject_key": subject, "minors": {"age_column": None}, "rank_by": None,
            "quasi_identifiers": [], "identifiers": [], "reading": file.reading,
            "source_columns": [column.name for column in columns], "output": {}, **_day_of(version, columns),
        },
        "scratch": str(scratch), "memory_mib": MEMORY_MIB, "threads": 2, "opposed": [], "pseudonym_key": "",
        "token_key": keys.open("token", f"zone:{zone}", covered_by=covered_by).decode(),
        "match": {
            "by": by, "values": values,
            "keys": {
                str(one.pk): keys.open("pseudonym", f"convention:{one.pk}", covered_by=covered_by).decode()
                for one in conventions
            },
        },
    }  # fmt: skip
    try:
        with sources.clear_copy(file, covered_by=covered_by, prefix="match-source-") as path:
            return run_engine({**job, "source": str(path)}, scratch, lambda line: None)["matches"]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
