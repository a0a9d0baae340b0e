"""What the tests run on: ``pytest --event-loop uvloop``, and ``--eager-tasks`` on Python 3.12 and later.

Tests that count turns, or want a loop of their own, name theirs and are not moved.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_chosen = ""
_eager = False


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("event loop")
    group.addoption("--event-loop", choices=("asyncio", "uvloop"), default="asyncio", help="what tests run on")
    group.addoption("--race-seed", type=int, help="play the tests of races with this seed alone")
    group.addoption("--eager-tasks", action="store_true", help="start each task where it is made (Python 3.12)")


def configure(config: pytest.Config) -> None:
    """Put the loop that was asked for in place of asyncio's own, for `asyncio.run` and for pytest-asyncio alike."""
    global _chosen, _eager  # one run of pytest, one choice
    _chosen, _eager = config.getoption("--event-loop"), config.getoption("--eager-tasks")
    if _eager and sys.version_info < (3, 12):
        raise pytest.UsageError("--eager-tasks needs Python 3.12 or later")
    if uses_uvloop() or _eager:
        asyncio.set_event_loop_policy(_Policy())  # pyright: ignore[reportDeprecated]  # until 3.16, and nothing else reaches `asyncio.run`


def uses_uvloop() -> bool:
    return _chosen == "uvloop"


def made(factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """Return a loop of this factory, with eager tasks where they were asked for."""
    loop = factory()
    if sys.version_info >= (3, 12) and _eager:
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


class _Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        if not uses_uvloop():
            return made(super().new_event_loop)
        import uvloop  # noqa: PLC0415  # not on every system

        return made(uvloop.new_event_loop)
