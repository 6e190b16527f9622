"""Accounts, organisations, environments, the pages of the demo (which exist in the demo only)."""

from tests.matrix import everybody, only, signed_in

ROUTES = {
    "second-factor": signed_in(200),
    "POST second-factor": signed_in(422),
    "account_email": signed_in(403),
    "POST account_email": signed_in(403),
    # Everybody of the matrix has an application already, so enrolment sends them on.
    "mfa_activate_totp": signed_in(302),
    "organisation-detail": signed_in(200),
    "POST organisation-detail": only(403, representative=422),
    # The outsider was invited, but serves another organisation already: no to the one, yes to the refusal.
    "POST invitation-accept": only(404, outsider=403),
    "POST invitation-decline": only(404, outsider=302),
    "organisation-create": signed_in(403),
    "POST organisation-create": signed_in(403),
    "environment-create": only(403, member=200, representative=200, named=200, outsider=200),
    "POST environment-create": only(403, member=422, representative=422, named=422, outsider=422),
    "environment-detail": only(404, member=200, representative=200, named=200),
    "POST environment-attest": only(404, member=403, representative=422, named=403),
    "POST credential-create": only(404, member=422, representative=422, named=422),
    "POST credential-revoke": only(404, member=302, representative=302, named=302),
    "demo-cast": everybody(404),
    "demo-clock": signed_in(404),
    "POST demo-clock": signed_in(404),
}
