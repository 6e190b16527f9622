"""The factories make what the database accepts as whole."""

import pytest

from tests import factories

pytestmark = pytest.mark.django_db


def test_a_convention_in_order_can_be_made():
    convention = factories.convention()

    assert convention.status == "active"
    assert convention.signatures.count() == 2
    assert convention.named_persons.get().confirmed_at
