"""Fixtures of the whole suite."""

import gc
import itertools
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import postgres

# A test process that pytest-xdist starts has a main module without a file: Spark's client takes that for its own
# doctests and ends the process.
vars(sys.modules["__main__"]).setdefault("__file__", pytest.__file__)

# Never a timed test: a busy machine is slow at making examples, and that is no fault of the code.
hypothesis_settings.register_profile("terrain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("terrain")

# The longest files, in minutes: begun last, one would keep a process busy and leave the others with nothing to do.
LONGEST = (
    "functional/test_story", "functional/test_broken_guards", "functional/test_journeys_by_keyboard",
    "integration/test_two_engines", "integration/test_released_tables", "integration/test_every_dataset",
    "integration/test_kill", "integration/test_tampering", "integration/test_release_faults",
    "functional/test_tables_pages", "integration/test_builds_survive", "integration/test_tables",
)  # fmt: skip


def pytest_collection_finish(session):
    """What was loaded and collected stays for the whole run: from here on nobody looks at it for garbage."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config):
    """The data engine would report what is set aside at the end as its own leaks."""
    gc.unfreeze()


def pytest_collection_modifyitems(items):
    """The longest files first, in their order; the others as they were found."""
    order = {f"tests/{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


@pytest.fixture(scope="session")
def django_db_setup():
    """The database is already there: a copy of the template, made when `tests.postgres` was loaded."""


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords():
    """Tests make hundreds of persons: their passwords are hashed once over, not a million times."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def _french():
    """Every test begins in French; a page that was asked in English leaves its language to nobody."""
    with translation.override("fr"):
        yield


_numbers = itertools.count(1)


@contextmanager
def connected_to(name):
    """Django at work on the database `name`."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def a_database():
    """A database of one's own, as `terrain_app`, in which transactions really commit. Yields its name."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    postgres.cluster().create_database(name, template=postgres.TEMPLATE)
    try:
        with connected_to(name), pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", postgres.cluster().url("terrain_app", name))
            yield name
    finally:
        postgres.cluster().drop_database(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """A file that leaves Django on another database than it found fails itself, not whatever file comes next."""
    left = yield
    if nextitem is None or nextitem.path != item.path:
        found = connection.settings_dict["NAME"]
        connection.settings_dict["NAME"] = postgres.DATABASE
        assert found == postgres.DATABASE, f"{item.path.name} left Django connected to {found}"
    return left


@pytest.fixture
def fresh_database():
    """A database of the test's own. Yields its name."""
    with a_database() as name:
        yield name


@pytest.fixture
def committed(fresh_database, django_db_blocker):
    """A database in which rows are really committed, so that a second connection sees them. Yields its name."""
    with django_db_blocker.unblock():
        yield fresh_database


@pytest.fixture
def stays(committed, tmp_path):
    """A convention on a cut of the real stays, committed, with folders of its own."""
    from tests import releasing

    (tmp_path / "keys").mkdir(mode=0o700)
    with override_settings(
        KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
        SCRATCH=tmp_path / "scratch",
    ):  # fmt: skip
        yield releasing.convention_on_stays(tmp_path)


NO_REAL_DATA = "TERRAIN_TEST_DATA is not set: the folder of the larger real files"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the larger real files. Where it is not, these tests are skipped; CI fails on such a skip."""
    folder = os.environ.get("TERRAIN_TEST_DATA", "")
    if not folder:
        if os.environ.get("TERRAIN_TEST_DATA_REQUIRED"):
            pytest.fail(NO_REAL_DATA, pytrace=False)
        pytest.skip(NO_REAL_DATA)
    found = Path(folder)
    assert found.is_dir(), f"TERRAIN_TEST_DATA names {found}, which is no folder"
    return found
