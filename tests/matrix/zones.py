"""Zones, datasets and the catalogue. In this world the zone is open and its key is not made yet."""

from tests.matrix import everybody, only, signed_in

HOUSE = {"operator": 200, "steward": 200, "dpo": 200}
KEEPERS = {"operator": 200, "steward": 200}
UNREADY = {"operator": 422, "steward": 422}

ROUTES = {
    "zone-list": everybody(200),
    "zone-detail": everybody(200),
    "catalogue": everybody(200),
    "api-catalogue": everybody(200),
    "dataset-detail": everybody(200),
    "commune-search": signed_in(200),
    # Any person of an operator may prepare a draft; it takes two with a role to open it.
    "zone-create": only(403, **HOUSE),
    "POST zone-create": only(403, **HOUSE),
    "zone-edit": only(403, operator=200),
    "POST zone-edit": only(403, operator=422),
    "zone-people": only(403, operator=200),
    "POST zone-people": only(403, operator=422),
    "POST zone-open": only(403, operator=409),
    "zone-suspend": only(403, operator=200, dpo=200),
    "POST zone-suspend": only(403, operator=422, dpo=422),
    "zone-close": only(403, operator=200),
    "POST zone-close": only(403, operator=422),
    "service-create": only(403, **KEEPERS),
    "POST service-create": only(403, **UNREADY),
    "service-edit": only(403, **KEEPERS),
    "POST service-edit": only(403, **UNREADY),
    "site-create": only(403, **KEEPERS),
    "POST site-create": only(403, **UNREADY),
    "sensor-create": only(403, **KEEPERS),
    "POST sensor-create": only(403, **UNREADY),
    "dataset-create": only(403, **KEEPERS),
    "POST dataset-create": only(403, **UNREADY),
    "version-upload": only(403, operator=409, steward=409),
    "POST version-upload": only(403, operator=409, steward=409),
    "placed-files": only(403, **KEEPERS),
    "POST placed-files": only(403, **UNREADY),
    "version-detail": only(403, **HOUSE),
    "version-reread": only(403, **KEEPERS),
    "POST version-reread": only(403, **UNREADY),
    "POST version-gathering": only(403, operator=409, steward=409),
    "column-roles": only(403, **HOUSE),
    "POST column-roles": only(403, operator=403, steward=302, dpo=403),
    "dataset-link": only(403, **KEEPERS),
    "POST dataset-link": only(403, **UNREADY),
    # A published dataset keeps its words: the form shows them, the verb says no to a valid one.
    "dataset-edit": only(403, **KEEPERS),
    "POST dataset-edit": only(403, **UNREADY),
    "dataset-withdraw": only(403, **KEEPERS),
    "POST dataset-withdraw": only(403, **UNREADY),
    "dataset-publish": only(403, **KEEPERS),
    "POST dataset-publish": only(403, operator=409, steward=409),
}
