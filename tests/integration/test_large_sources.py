"""Sources larger than what the worker may hold. A few minutes: `make test-large`, outside every day's tests."""

import os

import pytest

from broker.accounts import grants
from broker.keys.store import KeyStore
from tests import factories
from tests.integration.test_bad_sources import MIB, peak_memory
from tests.integration.test_dirty_releases import places
from tests.integration.test_sources import on_disk
from zones import actions, sealing, tasks
from zones.models import DatasetVersion
from zones.reading import Reading

__all__ = ["places"]  # a fixture
pytestmark = pytest.mark.skipif("TERRAIN_LARGE" not in os.environ, reason="a few minutes: make test-large")


def test_a_source_of_one_gibibyte_is_read_in_less_than_256_mib(places, settings):
    zone = factories.zone()
    KeyStore().create("source", f"zone:{zone.pk}")
    steward = factories.user(organisation=zone.operator)
    grants.give(steward, "zones.steward", zone, by=steward)
    dataset = actions.create_dataset(
        zone, by=steward, title="Grand", summary="s", domains=["clinical"], is_personal=False
    )
    line = b"1234567,40,Rouen," + b"%d," * 8 % tuple(range(10**8, 10**8 + 8)) + b"x\n"
    seal = sealing.Seal(zone, sealing.recipient_of(zone))
    seal.write(b"patient_id,age,city," + b"".join(b"m%d," % n for n in range(8)) + b"z\n")
    block = line * (MIB // len(line))
    for _block in range(1024):
        seal.write(block)
    version = actions.add_version(dataset, by=steward, sealed=seal.finish("big.csv"), reading=Reading())
    assert version.size > 1000 * MIB

    held = peak_memory(lambda: tasks.profile_version(version.pk))

    found = DatasetVersion.objects.get(pk=version.pk)
    assert found.status == "profiled", found.problem
    assert found.rows == len(block) // len(line) * 1024
    assert held < 256 * MIB, f"{held / MIB:.0f} MiB held for 1 GiB"
    print(f"held {held / MIB:.0f} MiB")
    assert on_disk(settings.SCRATCH) == []
