"""Selected names that the API server does not know are errors, unless a CustomResourceDefinition can add them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.errors import SettingsError
from kspan.ingest.watch import Connection, Selection, check_names, connect
from tests.apiserver import ApiServer, Refuse
from tests.ingest.watch.watching import QUICK, connection_to

GROUP = "/apis/batch/v1"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        yield running


@pytest.fixture
def connection(server: ApiServer, tmp_path: Path) -> Iterator[Connection]:
    found = connect(str(server.kubeconfig(tmp_path / "kubeconfig")), timing=QUICK)
    yield found
    found.close()


@pytest.mark.parametrize(
    "name, hint",
    [
        ("xyzzy", "; 'kubectl api-resources' lists them"),
        ("pod.apps", "; did you mean 'pod' or 'pods'"),
        ("deploymnets", "; did you mean 'deployments' or 'deployment'"),
        ("v2/pods", "; did you mean 'pods'"),
    ],
)
def test_a_name_that_nothing_can_add_is_an_error_with_similar_names(
    connection: Connection, name: str, hint: str
) -> None:
    with pytest.raises(SettingsError) as error:
        check_names(connection, Selection(watch=("pods", name)))
    assert str(error.value).startswith(f"--watch {name!r}: the API server has no such resource{hint}")


@pytest.mark.parametrize("name", ["pods", "Deployment", "deployments.apps", "v1/events", "widgets.example.com"])
def test_a_name_that_is_served_or_that_a_definition_can_add_is_accepted(connection: Connection, name: str) -> None:
    check_names(connection, Selection(watch=(name,)))


def test_no_name_is_an_error_while_the_api_server_or_one_of_its_groups_does_not_answer(
    server: ApiServer, connection: Connection, tmp_path: Path
) -> None:
    with server.faults.add(Refuse(503), GROUP):
        check_names(connection, Selection(watch=("jobs", "frobs")))
    unreachable = connection_to("http://127.0.0.1:9", tmp_path)
    check_names(unreachable, Selection(watch=("frobs",)))
    unreachable.close()
