"""RouteRegistry: the route table as one client knows it, with the paths that its user has confirmed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from amili_async._protocol.requests import fill, placeholders
from amili_async._routes import ROUTES
from amili_async.errors import ConfigurationError, UnconfirmedRouteWarning
from amili_async.models._inputs import level_of_the_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from amili_async._routes import Route

_PATH = re.compile(r"/[!\"$->@-~]*\Z")


class RouteRegistry:
    """The package's route table, with confirmed paths in place of guesses."""

    def __init__(self, confirmed: Mapping[str, str] | None, *, seen: Iterable[str] = ()) -> None:
        """Take confirmed paths, and the operations whose guessed path was ``seen`` to answer."""
        if confirmed is not None and not isinstance(confirmed, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError("routes must be a dict of operations and their confirmed paths")
        own = {operation: _confirmed(operation, path) for operation, path in (confirmed or {}).items()}
        self._routes = {**ROUTES, **own}
        self._settled = {*own, *seen}
        """Operations that are not warned of: their path was confirmed, or the warning has been given."""

    def route(self, operation: str) -> Route:
        """Return the route of an operation; warn once of a path that is a guess."""
        route = self._routes[operation]
        if route.mark == "U" and operation not in self._settled:
            self._settled.add(operation)
            warnings.warn(
                f"{operation}: the path {route.path} is a guess, for Amili has not published it; "
                f"ask Amili, and pass routes={{{operation!r}: ...}} with the path they confirm",
                UnconfirmedRouteWarning,
                stacklevel=level_of_the_user(),
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
    if not isinstance(path, str) or not _PATH.match(path):
        raise ConfigurationError(
            f"routes[{operation!r}] must be a path that begins with /, in ASCII, without blanks and query"
        )
    wanted, given = placeholders(known.path), placeholders(path)
    if sorted(given) != sorted(wanted) or path.count("{") != len(wanted) or path.count("}") != len(wanted):
        names = ", ".join(f"{{{name}}}" for name in wanted) or "none"
        raise ConfigurationError(f"routes[{operation!r}]: the placeholders of {path!r} must be {names}, each once")
    return known._replace(path=path)
