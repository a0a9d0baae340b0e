"""The public signatures of the package, read from its source: who is public, and which names their annotations take."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe

import amili_async

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(amili_async.__file__).parent.parent


@cache
def package() -> Any:
    """Return the package as griffe reads it; it has no types for what an alias stands for."""
    return griffe.load("amili_async", search_paths=[ROOT], resolve_aliases=True, resolve_external=False)


def public_modules() -> Iterator[Any]:
    """Yield the modules that users may import from."""

    def within(module: Any) -> Iterator[Any]:
        yield module
        for name, inner in module.modules.items():
            if not name.startswith("_") and not inner.is_alias:
                yield from within(inner)

    return within(package())


def exported() -> dict[str, str]:
    """Return what is public, by where it is written; each with a name to import it by."""
    found: dict[str, str] = {}
    for module in public_modules():
        listed = module.exports
        # A module without a list of names offers what it writes itself, and not what it imports.
        names = (
            [str(name) for name in listed]
            if listed is not None
            else [name for name, thing in module.members.items() if not (name.startswith("_") or thing.is_alias)]
        )
        for name in names:
            thing = module.members.get(name)
            if thing is not None and not thing.is_module:
                path = thing.final_target.path if thing.is_alias else thing.path
                found.setdefault(path, f"{module.path}.{name}")
    return found


def thing_at(path: str) -> Any:
    """Return what stands at a path of this package."""
    return package()[path.removeprefix("amili_async.")]


def signatures(path: str, name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield what is public at and below a path, each with the paths of this package that its annotations take."""
    thing = thing_at(path)
    expressions: list[Any] = []
    if thing.is_function:
        expressions = [*(parameter.annotation for parameter in thing.parameters), thing.returns]
    elif thing.is_attribute:
        expressions = [thing.annotation]
    yield name, {taken for one in expressions for taken in _names_in(one)}
    for member, inner in thing.members.items() if thing.is_class else ():
        if (not member.startswith("_") or member == "__init__") and not inner.is_alias:
            yield from signatures(inner.path, f"{name}.{member}")


def _names_in(expression: Any) -> Iterator[str]:
    for part in expression.iterate(flat=True) if isinstance(expression, griffe.Expr) else ():
        path = part.canonical_path if isinstance(part, griffe.ExprName) else ""
        if path.startswith("amili_async."):
            thing = thing_at(path)
            yield thing.final_target.path if thing.is_alias else thing.path


def is_type_variable(path: str) -> bool:
    """Return whether a name stands for a type that the caller chooses."""
    value = str(getattr(thing_at(path), "value", ""))
    return value.startswith(("TypeVar(", "typing.TypeVar("))
