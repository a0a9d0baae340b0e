"""RouteBook: the route table as one client knows it, with the paths that its user has confirmed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from amili_async.errors import ConfigurationError, UnconfirmedRouteWarning
from amili_async.protocol import fill, placeholders
from amili_async.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amili_async.routes import Route


class RouteBook:
    """The package's route table, with confirmed paths in place of guesses."""

    def __init__(self, confirmed: Mapping[str, str] | None) -> None:
        self._routes = dict(ROUTES)
        self._warned: set[str] = set()
        self._confirmed = frozenset(confirmed or ())
        for operation, path in (confirmed or {}).items():
            self._routes[operation] = _confirmed(operation, path)

    def route(self, operation: str) -> Route:
        """Return the route of an operation; warn once of a path that is a guess."""
        route = self._routes[operation]
        if route.mark == "U" and operation not in self._confirmed and operation not in self._warned:
            self._warned.add(operation)
            warnings.warn(
                f"{operation}: the path {route.path} is a guess, for Amili has not published it; "
                f"ask Amili, and pass routes={{{operation!r}: ...}} with the path they confirm",
                UnconfirmedRouteWarning,
                stacklevel=2,
            )
        return route

    def path(self, operation: str, ids: Sequence[object]) -> str:
        """Return the path of an operation with its ids filled in, in the order of the package's own route table."""
        names = placeholders(ROUTES[operation].path)
        return fill(self._routes[operation].path, dict(zip(names, ids, strict=True)))


def _confirmed(operation: str, path: object) -> Route:
    known = ROUTES.get(operation)
    if known is None:
        raise ConfigurationError(f"routes: {operation!r} is no operation; there are {', '.join(sorted(ROUTES))}")
    if not isinstance(path, str) or not path.startswith("/") or "?" in path or "#" in path:
        raise ConfigurationError(f"routes[{operation!r}] must be a path that begins with / and has no query")
    wanted, given = placeholders(known.path), placeholders(path)
    if sorted(given) != sorted(wanted):
        names = ", ".join(f"{{{name}}}" for name in wanted) or "none"
        raise ConfigurationError(f"routes[{operation!r}]: the placeholders of {path!r} must be {names}, each once")
    return known._replace(path=path)
