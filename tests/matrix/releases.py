"""Releases, asked for by the persons a convention names; the unseen is a 404."""

from tests.matrix import everybody, only, signed_in

# Whoever may know of the convention: its organisation, the operator's roles, the auditor.
SEEN = {"member": 200, "representative": 200, "named": 200, "operator": 200, "steward": 200, "dpo": 200, "auditor": 200}
OURS = ("member", "representative", "named")

ROUTES = {
    # Auditors, and those who hold a zone, read what was found; auditors ask for it again.
    "reconciliation": only(403, operator=200, dpo=200, auditor=200),
    "POST reconciliation-run": only(403, auditor=302),
    # The experimenter's people may ask: the gate refuses those who are not named, and says why.
    "release-create": only(404, **{**dict.fromkeys(SEEN, 403), **dict.fromkeys(OURS, 200)}),
    "POST release-create": only(404, **{**dict.fromkeys(SEEN, 403), **dict.fromkeys(OURS, 422)}),
    "POST release-preview": only(404, **{**dict.fromkeys(SEEN, 403), **dict.fromkeys(OURS, 422)}),
    # What an offer's data would leave is the operator's to see, before anybody else.
    "POST offer-preview": only(403, visitor=302, operator=302, steward=302, dpo=302),
    "preview-detail": only(404, named=200),
    "release-detail": only(404, **SEEN),
    "release-progress": only(404, **SEEN),
    "release-state": only(404, **SEEN),
    "release-manifest": only(404, **SEEN),
    "release-signature": only(404, **SEEN),
    "release-licence": only(404, **SEEN),
    "release-datapackage": only(404, **SEEN),
    "release-croissant": only(404, **SEEN),
    # Whoever holds a manifest may check it.
    "signing-keys": everybody(200),
    "signing-key": everybody(200),
    # An up-to-date release has nothing to rebuild: 409 for whoever may ask.
    "POST release-rebuild": only(
        404, **{**dict.fromkeys(SEEN, 403), "named": 409, "operator": 409, "steward": 409, "dpo": 409}
    ),
    "withdrawal-list": signed_in(200),
    "withdrawal-detail": only(404, **SEEN),
    "POST withdrawal-detail": only(404, **{**dict.fromkeys(SEEN, 403), "representative": 422}),
    "trace-create": only(403, **{**dict.fromkeys(SEEN, 403), "operator": 200, "steward": 200, "dpo": 200}),
    "POST trace-create": only(403, **{**dict.fromkeys(SEEN, 403), "operator": 422, "steward": 422, "dpo": 422}),
    "leak-create": only(
        403, **{**dict.fromkeys(SEEN, 403), "operator": 200, "steward": 200, "dpo": 200, "auditor": 200}
    ),
    "POST leak-create": only(
        403, **{**dict.fromkeys(SEEN, 403), "operator": 422, "steward": 422, "dpo": 422, "auditor": 422}
    ),
    "inquiry-detail": only(404, operator=200),
    "POST release-order": only(404, **{**dict.fromkeys(SEEN, 403), "named": 302}),
}
