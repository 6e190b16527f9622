"""The terms of an offer as canonical JSON: what a standing mandate signs by its SHA-256, and what makes an offer
« unchanged » afterwards."""

import hashlib
from typing import Any

import rfc8785

from consent.models import Offer, OfferColumn


def of(offer: Offer, lines: list[OfferColumn] | None = None) -> dict[str, Any]:
    """Everything an experimenter takes up with `offer`. Columns in the dataset's order; dates in ISO form.

    `lines` are the offer's columns, with their column, when the caller has read them."""
    if lines is None:
        lines = list(offer.columns.select_related("column"))
    return {
        "offer": offer.pk,
        "version": offer.version,
        "dataset": offer.dataset.slug,
        "holder": offer.dataset.holder.name,
        "holder_agreement": offer.dataset.holder_agreement,
        "consent_required": offer.dataset.consent_required,
        "no_minors_because": offer.dataset.no_minors_because,
        "operator": offer.dataset.zone.operator.name,
        "zone": offer.dataset.zone.slug,
        "title": offer.title,
        "purposes": sorted(offer.purposes),
        "models_fate": offer.models_fate,
        "results_owner": offer.results_owner,
        "delivery_mode": offer.delivery_mode,
        "environment_class": offer.environment_klass,
        "price": offer.price,
        "expert_hours": offer.expert_hours,
        "dpia": {"reference": offer.dpia_reference, "validated_on": _iso(offer.dpia_validated_on)},
        "holder_basis": offer.holder_basis,
        "mr_reference": offer.mr_reference,
        "record_reference": offer.record_reference,
        "notice": offer.notice,
        "releases_per_month": offer.releases_per_month,
        "downloads_per_release": offer.downloads_per_release,
        "starts_on": _iso(offer.starts_on),
        "ends_on": _iso(offer.ends_on),
        "columns": [
            {
                "name": line.column.path,
                "role": line.column.role,
                "justification": line.justification,
                "treatment": line.treatment,
                "approves_sensitive": line.approves_sensitive,
            }
            # A column's position is that within its table: two tables have a first one each.
            for line in sorted(lines, key=lambda line: (line.column.table_id, line.column.position))
        ],
    }


def sha256(offer: Offer, lines: list[OfferColumn] | None = None) -> str:
    """The SHA-256 of the terms' canonical JSON (RFC 8785), 64 hexadecimal characters."""
    return hashlib.sha256(rfc8785.dumps(of(offer, lines))).hexdigest()


def _iso(day):
    return day.isoformat() if day else None
