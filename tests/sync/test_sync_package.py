"""The names of `amili_async.sync`, imported when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from amili_async import sync


def test_every_public_name_is_there() -> None:
    assert dir(sync) == sync.__all__
    for name in sync.__all__:
        assert getattr(sync, name) is not None


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'amili_async.sync' has no attribute 'nothing'"):
        _ = sync.nothing


def test_the_store_protocol_needs_no_database_and_no_cluster() -> None:
    code = (
        "import sys; from amili_async.sync import Store, sync; "
        "sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'distributed')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  # our own code
