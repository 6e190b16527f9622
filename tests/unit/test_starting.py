"""Loading without collecting garbage: the collector is at work again afterwards, whatever happened."""

import gc

import pytest

from broker.starting import loading


@pytest.fixture(autouse=True)
def _as_before():
    yield
    gc.enable()


def test_nothing_is_collected_while_a_process_loads_and_what_it_loaded_is_set_aside():
    before = gc.get_freeze_count()

    with loading():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


def test_a_start_that_fails_leaves_the_collector_at_work():
    with pytest.raises(RuntimeError), loading():
        raise RuntimeError("no settings")

    assert gc.isenabled()
