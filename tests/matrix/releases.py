"""Releases, asked for by the persons a convention names; the unseen is a 404."""

from tests.matrix import only

# Whoever may know of the convention: its organisation, the operator's roles, the auditor.
SEEN = {"member": 200, "representative": 200, "named": 200, "operator": 200, "steward": 200, "dpo": 200, "auditor": 200}

ROUTES = {
    "release-create": only(404, **{**dict.fromkeys(SEEN, 403), "named": 200}),
    "POST release-create": only(404, **{**dict.fromkeys(SEEN, 403), "named": 422}),
    "release-detail": only(404, **SEEN),
    "release-progress": only(404, **SEEN),
    "release-manifest": only(404, **SEEN),
    "POST release-order": only(404, **{**dict.fromkeys(SEEN, 403), "named": 302}),
}
