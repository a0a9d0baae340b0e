"""The public names: complete, where they belong, and imported when they are used and no sooner."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import amili_async
from amili_async import errors, resources
from tests.support.signatures import exported, is_type_variable, signatures, thing_at

DESIGNED = {
    *("AmiliClient", "ClientCredentials", "TokenProvider", "Timeout", "RetryPolicy", "Pager", "Page", "Cursor"),
    *("Batch", "BatchState", "SucceededEntry", "InvoiceSuccess", "UnknownEntry", "FailedEntry", "Accepted"),
    *("NewInvoice", "NewPayment", "NewCorrection", "encode", "webhooks"),
}

HOMES = amili_async._HOMES  # pyright: ignore[reportPrivateUsage]  # the table that this module is about

TREE = ast.parse(inspect.getsource(amili_async))


def for_type_checkers() -> dict[str, str]:
    """Return what type checkers see imported, and from where."""
    (block,) = (node for node in TREE.body if isinstance(node, ast.If))
    return {
        alias.name: node.module or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def in_a_process_of_its_own(code: str) -> list[str]:
    """Return the words that code prints in a fresh interpreter, warnings being errors."""
    ran = subprocess.run(  # noqa: S603  # this interpreter, with code from this file
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(amili_async.__file__).parent.parent,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


LOADED = "print(*sorted(name for name in ('aiohttp', 'msgspec', 'backoff', 'yarl', 'asyncio') if name in sys.modules))"


def test_the_version_is_the_one_that_is_installed() -> None:
    assert amili_async.__version__ == importlib.metadata.version("amili-async")


def test_importing_the_package_imports_nothing_else() -> None:
    assert in_a_process_of_its_own(f"import sys, amili_async; {LOADED}") == []


def test_a_name_imports_what_it_needs_and_no_more() -> None:
    assert in_a_process_of_its_own(f"import sys; from amili_async import NotFoundError; {LOADED}") == []
    assert in_a_process_of_its_own(f"import sys, amili_async; amili_async.Cursor; {LOADED}") == ["msgspec"]
    assert "aiohttp" in in_a_process_of_its_own(f"import sys, amili_async; amili_async.AmiliClient; {LOADED}")


def test_a_star_import_brings_every_name_and_nothing_else() -> None:
    printed = in_a_process_of_its_own(
        "before = {*vars(), 'before'}\nfrom amili_async import *\nprint(*{*vars()} - before)"
    )
    assert sorted(printed) == sorted(amili_async.__all__)


def test_no_extra_is_needed_for_any_name() -> None:
    extras = (
        "sqlalchemy",
        "asyncpg",
        "distributed",
        "typer",
        "rich",
        "fastapi",
        "opentelemetry",
        "pytest",
    )
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({extras!r}))\n"
        "import amili_async\n"
        "print(*(name for name in amili_async.__all__ if getattr(amili_async, name) is None))"
    )
    assert in_a_process_of_its_own(code) == []


def test_every_designed_name_is_public() -> None:
    assert {*amili_async.__all__} >= DESIGNED


def test_every_error_and_warning_is_public() -> None:
    tree = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, Exception) and not name.startswith("_")
    }
    assert tree <= {*amili_async.__all__}


def test_no_name_is_there_twice_and_all_are_in_order() -> None:
    assert amili_async.__all__ == sorted(amili_async.__all__)
    assert len({*amili_async.__all__}) == len(amili_async.__all__)


def test_every_name_has_one_home_where_type_checkers_find_it_too() -> None:
    homes = {name: f"amili_async.{module}" for module, names in HOMES.items() for name in names}
    assert sum(map(len, HOMES.values())) == len(homes)
    elsewhere = {name: "amili_async.errors" for name in amili_async.__all__ if name not in homes}
    elsewhere["webhooks"] = "amili_async"
    assert for_type_checkers() == {**homes, **elsewhere}
    assert sorted({**homes, **elsewhere}) == amili_async.__all__


@pytest.mark.parametrize("name", amili_async.__all__)
def test_a_name_is_what_its_home_has(name: str) -> None:
    home = for_type_checkers()[name]
    if name == "webhooks":
        assert amili_async.webhooks is import_module("amili_async.webhooks")
    else:
        assert getattr(amili_async, name) is getattr(import_module(home), name)


def test_a_name_is_looked_up_once() -> None:
    _ = amili_async.Cursor
    assert vars(amili_async)["Cursor"] is amili_async.Cursor


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'amili_async' has no attribute 'AmiliKlient'"):
        _ = amili_async.AmiliKlient  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # the point
    with pytest.raises(AttributeError):
        _ = amili_async.AmiliErrors  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # nor does `errors` stand in for it


def test_the_module_lists_its_names() -> None:
    assert {*amili_async.__all__} <= {*dir(amili_async)}
    assert dir(amili_async) == sorted(dir(amili_async))


PUBLIC = (
    "amili_async",
    "amili_async.models",
    "amili_async.probe",
    "amili_async.report",
    "amili_async.resources",
    "amili_async.sandbox",
    "amili_async.sync",
    "amili_async.webhooks",
)


def classes() -> list[type]:
    """Return the public classes but for typed dictionaries, whose annotations are read where they stand."""
    found: dict[str, type] = {}
    for package in map(import_module, PUBLIC):
        for kind in (getattr(package, name) for name in package.__all__):
            if isinstance(kind, type) and not issubclass(kind, dict):
                found[kind.__qualname__] = kind
    return [kind for _, kind in sorted(found.items())]


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__qualname__)
def test_a_class_says_where_it_is_imported_from(kind: type) -> None:
    assert "._" not in kind.__module__
    assert pickle.loads(pickle.dumps(kind)) is kind  # noqa: S301  # our own bytes


def test_settings_travel_by_their_public_names() -> None:
    for setting in (amili_async.RetryPolicy(attempts=2), amili_async.Timeout(3.0, 1.0)):
        sent = pickle.dumps(setting)
        assert b"_protocol" not in sent
        assert pickle.loads(sent) == setting  # noqa: S301  # our own bytes


def test_an_error_travels_with_its_cursor_by_their_public_names() -> None:
    error = amili_async.TransportError("lost", cursor=amili_async.Cursor(row=3))
    sent = pickle.dumps(error)
    assert b"_cursor" not in sent
    assert pickle.loads(sent).cursor == error.cursor  # noqa: S301  # our own bytes


PLAIN = {
    *(f"models._received.{name}" for name in ("Maybe", "NumberText", "ExtraMembers")),
    *(f"models._request.{name}" for name in ("Text", "AnyText", "Flag", "Amount", "PositiveAmount", "Day", "Moment")),
    *("models._batches.Succeeded", "models._batches.Failed", "models._autocollect.Amount"),
    *("models._invoices.GivenType", "models._payments.GivenType"),
}
"""What a type checker takes for a plain type, such as ``Maybe[str]`` for ``str | None``; msgspec is told more by it."""

MADE_BY_US = {
    *("Page", "Pager", "Stream", "BulkWrite"),
    *(f"resources.{name}" for name in resources.__all__),
    "sandbox.Webhooks",
}
"""Classes that a client or a sandbox makes and no user: their ``__init__`` is not for users."""

FOR_OURSELVES = {
    *("AmiliClient.caller", "Pager.next_items", "sync.SqlStore.database", "sync.SqlStore.runs"),
    *(f"sandbox.Webhooks.{name}" for name in ("batch_completed", "case", "settlement_created")),
}
"""What parts of this package use of each other, and say so."""


def test_no_public_signature_needs_a_private_name() -> None:
    public = exported()
    private = {
        (taken.removeprefix("amili_async."), owner)
        for path, name in public.items()
        for owner, names in signatures(path, name.removeprefix("amili_async."))
        for taken in names
        if taken not in public
        and not is_type_variable(taken)
        and not (owner.endswith(".__init__") and owner.removesuffix(".__init__") in MADE_BY_US)
    }
    needed = {taken for taken, _ in private}
    assert {(taken, owner) for taken, owner in private if taken not in PLAIN and owner not in FOR_OURSELVES} == set()
    assert needed >= PLAIN, "an exception that nothing needs any more"
    assert {owner for _, owner in private} >= FOR_OURSELVES, "an exception that nothing needs any more"


def test_a_public_signature_is_seen_and_so_is_a_private_name_in_it() -> None:
    public = exported()
    assert public["amili_async._protocol.retry.RetryPolicy"] == "amili_async.RetryPolicy"
    seen = dict(signatures("amili_async._lists.pager.Pager", "Pager"))
    assert "amili_async._lists.page_fetcher.PageFetcher" in seen["Pager.__init__"]
    assert seen["Pager.pages"] >= {"amili_async._lists.pager.Page"}
    assert "amili_async._lists.page_fetcher.PageFetcher" not in public


@pytest.mark.parametrize("path", sorted(exported().items(), key=str), ids=lambda item: item[1])
def test_what_is_public_can_be_imported_and_says_what_it_is(path: tuple[str, str]) -> None:
    home, name = path
    module, _, attribute = name.rpartition(".")
    getattr(import_module(module), attribute)
    assert thing_at(home).docstring, name
