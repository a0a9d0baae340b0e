from __future__ import annotations

import pytest

from amili_async.sandbox._requests import Router


def test_a_path_gives_its_placeholders_their_values_decoded() -> None:
    match = Router("G3").find("GET", "/collection/v1/orgs/a%2Fb/batches/%C3%B8")
    assert match is not None
    assert match.route.operation == "batches.get"
    assert match.values == {"organization_id": "a/b", "batch_id": "ø"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collection/v1/batches/x"),
        ("GET", "/orgs/x/batches"),
        ("GET", "/collection/v1/orgs//batches"),
        ("GET", "/collection/v1/orgs/x/batches/"),
        ("GET", "/collection/v1/orgs/x/y/batches"),
        ("GET", "/collection/v1/batches"),
    ],
)
def test_other_paths_lead_nowhere(method: str, path: str) -> None:
    assert Router("G3").find(method, path) is None


def test_a_path_knows_its_methods() -> None:
    router = Router("G3")
    assert router.methods("/collection/v1/orgs/x/invoices") == ["GET", "POST"]
    assert router.methods("/autocollect/webapi/api/Batch") == ["GET", "POST"]
    assert router.methods("/nowhere") == []


def test_a_path_that_is_given_stands_in_for_the_tables() -> None:
    router = Router("G1", {"status.ping": "/are/you/there"})
    assert router.find("GET", "/collection/v1/ping") is None
    match = router.find("GET", "/collection/v1/are/you/there")
    assert match is not None
    assert match.route.operation == "status.ping"
