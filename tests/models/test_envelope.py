from __future__ import annotations

import msgspec
import pytest

from amili_async import Summary


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        (b"{}", Summary()),
        (b'{"nextPageToken": ""}', Summary(next_page_token="")),
        (b'{"status": "SUCCESS", "nextPageToken": null, "new": 1}', Summary(status="SUCCESS")),
    ],
)
def test_both_members_may_be_missing_and_an_empty_token_stays_as_it_is(body: bytes, summary: Summary) -> None:
    assert msgspec.json.decode(body, type=Summary) == summary
