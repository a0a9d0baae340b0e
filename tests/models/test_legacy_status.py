from __future__ import annotations

import msgspec
import pytest

from amili_async import LegacyStatus, encode
from amili_async.models._legacy_status import lower


@pytest.mark.parametrize(("name", "spelt"), [("object_name", "objectname"), ("status", "status"), ("a_b_c", "abc")])
def test_names_are_spelt_without_underscores(name: str, spelt: str) -> None:
    assert lower(name) == spelt


def test_the_one_member_with_an_underscore_keeps_it() -> None:
    body = b'{"statuscode":2,"responses":[{"ledgerref":"L","status_statuscode":"7"}]}'
    status = msgspec.json.decode(body, type=LegacyStatus)
    assert status.responses[0].status_statuscode == "7"
    assert encode(status) == body
