"""A release built by the Spark server of the settings, from its request to its bytes; and what is said when the server
is not there."""

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from broker.errors import WrongState
from broker.releases import engines, tasks
from tests import releasing, servers
from tests.actors import signed_in
from tests.recompute import recompute


@pytest.fixture(scope="module")
def server():
    with servers.any_server() as found:
        yield found


def on(server, folder, *, rows: int = 1):
    return override_settings(SPARK_REMOTE=server.remote, SPARK_ROWS=rows, SPARK_FOLDER=folder / "spark")


def test_a_release_built_on_the_server_is_what_the_second_program_recomputes(stays, server, tmp_path):
    with on(server, tmp_path):
        release = releasing.built(stays)

    assert release.status == "ready", release.problem
    assert release.recipe["engine"].keys() == {"plan", "spark"}
    assert recompute(stays.inputs(release)).failed == []
    assert not list((tmp_path / "spark").iterdir()), "the server's tables hold clear identifiers and must be gone"


def test_the_page_of_a_release_says_which_engine_builds_it(stays, tmp_path):
    with on(servers.Server("sc://127.0.0.1:1"), tmp_path):
        release = stays.ask()

        page = signed_in(stays.person).get(reverse("release-detail", args=[release.pk])).content.decode()

    assert f"Spark {release.recipe['engine']['spark']}" in page


def test_a_small_version_is_built_by_the_embedded_engine(stays, tmp_path):
    with on(servers.Server("sc://127.0.0.1:1"), tmp_path, rows=1_000_000):
        release = releasing.built(stays)

    assert release.status == "ready", release.problem
    assert release.recipe["engine"].keys() == {"plan", "duckdb"}


def test_a_server_that_does_not_answer_is_told_with_its_mend_and_nothing_is_published(stays, tmp_path):
    with on(servers.Server("sc://127.0.0.1:1"), tmp_path):
        release = releasing.built(stays)

    assert release.status == "failed"
    assert "Le serveur Spark ne répond pas" in release.problem and "remettre en marche" in release.problem
    assert release.stored_as == "" and not list((settings.RELEASES / "experimental").iterdir())


def test_a_server_no_longer_named_is_asked_for(stays, tmp_path):
    with on(servers.Server("sc://127.0.0.1:1"), tmp_path):
        release = stays.ask()

    with pytest.raises(WrongState, match="TERRAIN_SPARK"):
        engines.server_of(release.recipe)
    tasks.build(release)

    release.refresh_from_db()
    assert release.status == "failed"
    assert "TERRAIN_SPARK" in release.problem
