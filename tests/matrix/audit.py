"""Who may read the log: its proofs, anybody; its entries, each their part."""

from tests.matrix import everybody, only, signed_in

ROUTES = {
    "log-home": everybody(200),
    # nothing is signed in the world of the matrix
    "log-checkpoint": everybody(404),
    "log-key": everybody(404),
    "log-tile": everybody(404),
    "log-proof": everybody(404),
    "log-receipt-keys": everybody(404),
    "log-receipt": everybody(404),
    "log-checkpoints": everybody(200),
    "log-checkpoint-of": everybody(404),
    "log-note": everybody(404),
    "log-token": everybody(404),
    "POST log-cosignature": everybody(404),
    "log-consistency": everybody(200),
    "POST log-consistency": everybody(422),
    "log-consistency-proof": everybody(404),
    "log-witness-script": everybody(200),
    # everybody here belongs somewhere: each reads their part (broker.desk.journal.permissions)
    "audit-search": signed_in(200),
    "audit-entry": signed_in(404),
    "audit-keeping": signed_in(404),
    "POST audit-keeping": signed_in(404),
    "audit-searches": signed_in(200),
    "POST audit-searches": signed_in(422),
    # a search is its owner's: the auditor's here
    "audit-search-rename": only(404, auditor=200),
    "POST audit-search-rename": only(404, auditor=422),
    "audit-search-remove": only(404, auditor=200),
    "POST audit-search-remove": only(404, auditor=302),
    "audit-month": signed_in(200),
    "POST audit-month-table": signed_in(200),
    # who may read may ask; nothing being signed yet, there is nothing to take away (409)
    "POST audit-bundle": signed_in(409),
    "POST audit-export": signed_in(409),
}
