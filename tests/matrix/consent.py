"""Registry, offers, applications, conventions. Files of others do not exist for somebody else: 404."""

from tests.matrix import everybody, only, signed_in

HERE = {"member": 200, "representative": 200, "named": 200}
OPERATORS = {"operator": 200, "steward": 200, "dpo": 200}

ROUTES = {
    "registry-list": everybody(200),
    "registry-json": everybody(200),
    # Anybody of an organisation may prepare its request; the agency's own people too, for their own body.
    "registry-request": signed_in(200),
    "registry-review": only(404, clerk=200),
    "POST registry-review": only(404, clerk=409),
    "offer-create": only(404, operator=200, steward=200),
    "POST offer-create": only(404, operator=422, steward=422),
    "offer-detail": everybody(200),
    "offer-submit": only(404, operator=200, steward=200),
    "POST offer-submit": only(404, operator=409, steward=409),
    "offer-opinion": only(404, steward=200, dpo=200),
    "POST offer-opinion": only(404, steward=422, dpo=422),
    "offer-mandate": only(404),
    "POST offer-mandate": only(404),
    "offer-publish": only(404, operator=200),
    "POST offer-publish": only(404, operator=409),
    "POST offer-version": only(403, operator=302, steward=302),
    "offer-notice": everybody(200),
    "offer-simulate": signed_in(200),
    "POST offer-simulate": signed_in(422),
    "application-create": signed_in(200),
    "POST application-create": signed_in(422),
    "commercial-licence": signed_in(200),
    "licence-create": signed_in(200),
    "POST licence-create": signed_in(422),
    "licence-detail": only(404, **HERE, **OPERATORS, auditor=200),
    "POST licence-detail": only(404, **dict.fromkeys((*HERE, *OPERATORS), 409), auditor=409),
    "convention-list": signed_in(200),
    "convention-detail": only(404, **HERE, **OPERATORS, auditor=200),
    "POST convention-detail": only(404, **dict.fromkeys((*HERE, *OPERATORS), 409), auditor=409),
    "convention-pdf": only(404, **HERE, **OPERATORS, auditor=200),
    "convention-sign": only(404, representative=200),
    "POST convention-sign": only(404, representative=422),
    "convention-people": only(404, **HERE, **OPERATORS, auditor=200),
    "POST convention-people": only(404, **{**HERE, **OPERATORS, "auditor": 200, "representative": 422}),
    # The experimenter's own people: nobody else may be named.
    "person-ready": only(404, **HERE),
    "training": only(404, **HERE),
    "POST training": only(404, **dict.fromkeys(HERE, 422)),
    "undertaking": only(404, **HERE),
    "POST undertaking": only(404, **dict.fromkeys(HERE, 422)),
}
