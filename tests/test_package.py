from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import amili_async
from tests.support import extras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "amili_async"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

LAYERS = (
    "errors",
    "_redaction",
    "_environment",
    "_upstream",
    "_clock",
    "_whole_file",
    "_cursor",
    "models",
    "_routes",
    "_profile",
    "events",
    "_decoding",
    "_protocol",
    "_http",
    "_call",
    "_lists",
    "resources",
    "_client",
    "webhooks",
    "sync",
    "probe",
    "report",
    "sandbox",
    "integrations",
    "cli",
)
"""The package's modules, bottom first: each imports from those before it alone."""

CORE = {"aiohttp", "msgspec", "backoff", "multidict", "yarl"}
"""What the core may import: its three dependencies, and what aiohttp's own signatures are made of."""

BROUGHT_BY_EXTRAS = {
    "sync": {"sqlalchemy", "asyncpg", "distributed", "pyarrow"},
    "report": {"sqlalchemy", "jinja2"},
    "sandbox": set[str](),
    "_upstream": {"pydantic_core"},
    "integrations": {"fastapi", "starlette", "pydantic_core", "opentelemetry", "pytest", "pytest_asyncio"},
    "cli": {"typer", "rich", "pdoc"},
}


def modules() -> list[tuple[str, Path]]:
    """Return every module with the layer that it belongs to; `__init__` of the package itself is none."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in paths]


def imports(tree: ast.AST, *, for_types_too: bool = False) -> Iterator[str]:
    """Yield the names that a module imports when it is run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types_too:
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "amili_async")
        else:
            yield from imports(node, for_types_too=for_types_too)


def test_every_module_belongs_to_a_layer() -> None:
    assert {layer for layer, _ in modules()} <= set(LAYERS)


@pytest.mark.parametrize(("layer", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{PACKAGE}/"))
def test_a_module_imports_only_from_layers_below_and_from_what_its_layer_may_use(layer: str, path: Path) -> None:
    allowed = set(LAYERS[: LAYERS.index(layer) + 1]) if layer != "sandbox" else {"_routes", "sandbox"}
    if layer == "webhooks":
        allowed = {"errors", "_redaction", "_upstream", "models", "_decoding", "webhooks"}
    for name in imports(ast.parse(path.read_text("utf-8"))):
        top, _, rest = name.partition(".")
        if top == "amili_async" and rest in amili_async.__all__:
            assert LAYERS.index(layer) > LAYERS.index("_client"), name
        elif top == "amili_async":
            assert not rest or rest.partition(".")[0] in allowed, name
        else:
            assert top in {*sys.stdlib_module_names, *CORE, *BROUGHT_BY_EXTRAS.get(layer, ())}, name


def needed(tree: ast.AST, paths: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules of the package that a module imports, for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            module = node.module.removeprefix("amili_async").removeprefix(".")
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix(".")
                yield from {inner if inner in paths else module} & {*paths}


def test_no_two_modules_need_each_other_for_type_checkers_neither() -> None:
    paths = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for _, path in modules()
    }
    needs = {name: {*needed(ast.parse(path.read_text("utf-8")), paths)} - {name} for name, path in paths.items()}
    # That an error says, for type checkers, of which class is what it carries is the one exception.
    needs["errors"] -= {"_cursor", "models"}
    # Without circles there is, among those that are left, always one that needs none of the others.
    left = set(paths)
    while free := {name for name in left if not needs[name] & left}:
        left -= free
    assert left == set()


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    for _, path in modules():
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring, path
        assert docstring.splitlines()[0].endswith((".", ":")), path


def test_no_module_is_longer_than_500_lines() -> None:
    assert {path.name for _, path in modules() if len(path.read_text("utf-8").splitlines()) > 500} == set()


def test_the_core_needs_aiohttp_msgspec_and_backoff_and_nothing_else() -> None:
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    assert names == {"aiohttp", "msgspec", "backoff"}


def test_every_extra_asks_only_for_what_the_package_imports() -> None:
    source = "".join(path.read_text("utf-8") for _, path in modules())
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items():
        for requirement in requirements if extra not in {"dev", "speedups"} else ():
            name = re.split(r"[^\w-]", requirement)[0]
            module = {"opentelemetry-api": "opentelemetry"}.get(name, name)
            if module not in {"amili-async", "cryptography"}:  # Dask makes the certificates of a local cluster with it
                assert re.search(rf"\b(?:import|from) {module}\b|import_module\(\"{module}\b|\+{module}\b", source), (
                    name
                )


def test_the_lock_holds_what_the_project_asks_for_and_names_public_hosts_only() -> None:
    text = (ROOT / "uv.lock").read_text("utf-8")
    assert set(re.findall(r"\w+://([^/\"]+)", text)) == {"pypi.org", "files.pythonhosted.org"}
    (own,) = (package for package in tomllib.loads(text)["package"] if package["name"] == "amili-async")
    locked = {(entry["name"], entry.get("specifier", "")) for entry in own["metadata"]["requires-dist"]}
    asked = [
        *PROJECT["project"]["dependencies"],
        *(entry for extra in PROJECT["project"]["optional-dependencies"].values() for entry in extra),
    ]
    assert {name for name, _ in locked} == {re.split(r"[^\w-]", requirement)[0] for requirement in asked}
    assert {specifier for _, specifier in locked} >= {
        match[0] for requirement in asked if (match := re.search(r">=[\d.]+$", requirement))
    }


def test_what_ci_runs_as_marked_is_exactly_what_the_quick_run_leaves_out() -> None:
    options = PROJECT["tool"]["pytest"]["ini_options"]
    names = [marker.partition(":")[0] for marker in options["markers"]]
    marked = " or ".join(names)
    assert f"-m 'not ({marked})'" in options["addopts"]
    assert f'-m "{marked}"' in (ROOT / ".ci/run").read_text("utf-8")


def test_each_extra_is_installed_alone_and_used_in_ci() -> None:
    assert set(extras.USES) == {"", *PROJECT["project"]["optional-dependencies"]} - {"dev"}


def test_each_step_of_ci_is_run_and_has_a_time_limit() -> None:
    text = (ROOT / ".ci/run").read_text("utf-8")
    (listed,) = re.findall(r"^STEPS=\((.*)\)$", text, re.MULTILINE)
    begins = text.index("# --- the steps ---")
    ends = text.index("# --- one after the other ---")
    steps = re.findall(r"^(\w+)\(\) \{(?: # (\d+) s: )?", text[begins:ends], re.MULTILINE)
    assert sorted(name for name, _ in steps) == sorted(listed.split())
    assert all(0 < int(limit) <= 1800 for _, limit in steps)


def test_every_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    limit: object = request.config.getini("timeout")
    assert 0 < float(str(limit)) <= 120


def test_the_change_log_begins_with_the_version_that_is_packaged() -> None:
    (first, *_) = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first == PROJECT["project"]["version"]


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in {*amili_async.__all__} - {"Identifier", "OnInvalid"}:  # unions, which have no docstring of their own
        assert getattr(amili_async, name).__doc__, name


def test_webhooks_are_there_without_an_import_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(amili_async, "webhooks", raising=False)
    assert amili_async.webhooks.parse_event.__module__ == "amili_async.webhooks._events"
    assert "webhooks" in dir(amili_async)
