from __future__ import annotations

import msgspec
import pytest

from amili_async.models._accepted import AcceptedBody


@pytest.mark.parametrize("body", [b"{}", b'{"batchId": ""}', b'{"batchId": null}', b'{"batchUrl": "https://x"}'])
def test_an_answer_without_a_batch_id_cannot_be_read(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=AcceptedBody)


def test_a_batch_id_is_enough() -> None:
    assert msgspec.json.decode(b'{"batchId": "b"}', type=AcceptedBody) == AcceptedBody(batch_id="b")
