"""What concerns the persons behind the data: objections taken at the desk, the public notice of a convention."""

from tests.matrix import everybody, only

STAFF = ("operator", "steward", "dpo")

ROUTES = {
    "opposition-create": only(403, **dict.fromkeys(STAFF, 200)),
    "POST opposition-create": only(403, **dict.fromkeys(STAFF, 422)),
    "convention-notice": everybody(200),
}
