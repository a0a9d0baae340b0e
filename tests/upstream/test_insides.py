"""That nothing outside `amili_async._upstream` leans on the insides of other libraries, and what msgspec allows."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

import amili_async
from amili_async._upstream.msgspec import set_frozen

PACKAGE = Path(amili_async.__file__).parent
OWN = {PACKAGE / "_client.py"}
"""Where this package reaches into a copy of its own."""


class Row(msgspec.Struct, frozen=True):
    name: str


def test_a_member_of_a_frozen_struct_can_be_set_before_anybody_has_seen_it() -> None:
    row = Row("a")
    set_frozen(row, "name", "b")
    assert row == Row("b")


def test_private_attributes_of_others_are_named_in_one_place() -> None:
    naming = {
        path
        for path in PACKAGE.rglob("*.py")
        if re.search(r"SLF001|reportPrivateUsage|force_setattr", path.read_text("utf-8"))
    }
    assert {path for path in naming if "_upstream" not in path.parts} == OWN
