"""What is given secrets, and may refuse them: its errors hold none."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from amili_async.errors import AmiliError, detach

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def redacted(function: Callable[P, R]) -> Callable[P, R]:
    """Let no error of a function hold what the function was given, nor what its frames made of that.

    A secret with a line end behind it is refused when a client is made, and reporters such as Sentry send the local
    variables of each frame on.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AmiliError as error:
            detach(error)
            raise
        finally:
            del args, kwargs

    return call
