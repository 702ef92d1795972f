"""Reviews of the test API server, in the words of a real one."""

from tests.apiserver import ApiServer
from tests.apiserver.client import Client

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
RIGHTS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def test_a_token_review_names_the_owner_of_a_token(server: ApiServer, client: Client) -> None:
    server.reviewed.add("t", "alice", "team")
    found = client.call(TOKENS, "POST", {"spec": {"token": "t"}})
    assert (found.status, found.body["kind"]) == (201, "TokenReview")
    assert found.body["status"]["authenticated"] is True
    assert found.body["status"]["user"]["groups"] == ["team", "system:authenticated"]
    unknown = client.call(TOKENS, "POST", {"spec": {"token": "u"}})
    assert (unknown.status, unknown.body["status"]["user"]) == (201, {})
    assert "authenticated" not in unknown.body["status"]


def test_an_access_review_knows_discovery_and_what_was_granted(server: ApiServer, client: Client) -> None:
    def may(**attributes: object) -> bool:
        groups = ["system:authenticated"]
        answer = client.call(RIGHTS, "POST", {"spec": {"user": "alice", "groups": groups, **attributes}})
        assert answer.status == 201
        return bool(answer.body["status"]["allowed"])

    server.reviewed.paths.add(("alice", "/kspan/*"))
    server.reviewed.lists.add(("alice", "events", "shop"))
    assert may(nonResourceAttributes={"path": "/api/v1", "verb": "get"})
    assert may(nonResourceAttributes={"path": "/kspan/", "verb": "get"})
    assert not may(nonResourceAttributes={"path": "/kspan", "verb": "get"})
    assert not may(nonResourceAttributes={"path": "/kspan/", "verb": "post"})
    assert may(resourceAttributes={"verb": "list", "resource": "events", "namespace": "shop"})
    assert not may(resourceAttributes={"verb": "list", "resource": "events", "namespace": "other"})
    assert not may(resourceAttributes={"verb": "list", "resource": "events"})
    server.reviewed.lists.add(("alice", "events", ""))
    assert may(resourceAttributes={"verb": "list", "resource": "events", "namespace": "other"})


def test_a_review_needs_credentials_and_a_body(server: ApiServer, client: Client) -> None:
    assert client.call(TOKENS, "POST", {}).status == 400
    server.tokens.clear()
    server.tokens.add("another")
    assert client.call(TOKENS, "POST", {"spec": {"token": "t"}}).status == 401
