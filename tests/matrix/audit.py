"""Who may read the log: its proofs, anybody; its entries, auditors and those who hold a zone."""

from tests.matrix import everybody, only

ROUTES = {
    "log-home": everybody(200),
    # nothing is signed in the world of the matrix
    "log-checkpoint": everybody(404),
    "log-key": everybody(404),
    "log-tile": everybody(404),
    "log-proof": everybody(404),
    "audit-search": only(403, operator=200, dpo=200, auditor=200),
    # who may read may ask; nothing being signed yet, there is nothing to take away (409)
    "POST audit-bundle": only(403, operator=409, dpo=409, auditor=409),
}
