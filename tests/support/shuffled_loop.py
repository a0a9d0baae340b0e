"""An event loop that runs what is ready in any order: what is right only in the usual one fails for some seed.

asyncio calls back in the order in which it was asked to. What awaits a lock, a future or a pause must not count on it:
a turn more or less anywhere, in this package, a dependency or a caller, changes it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support import event_loops
from tests.support.virtual_time import VirtualLoop, clock_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

    from amili_async.sandbox import VirtualClock

SEEDS = 500


class _Ready(deque[asyncio.Handle]):
    """What is ready; the next is drawn."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self._draw = draw

    def popleft(self) -> asyncio.Handle:
        self.rotate(-self._draw.randrange(len(self)))
        return super().popleft()


class ShuffledLoop(VirtualLoop):
    """Draws from a seed which of the callbacks that are ready runs next. For tasks without sockets.

    A transport of asyncio's counts on the order of its own callbacks, as it may, so there is none here. What a thread
    would do is done by the loop itself, some time later and in the order of one thread: a seed replays that too.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._draw = random.Random(seed)  # noqa: S311  # the same order for the same seed
        self._ready = _Ready(self._draw)
        self._jobs: deque[tuple[asyncio.Future[Any], Callable[[], object]]] = deque()

    def run_in_executor(self, executor: Any, func: Any, *arguments: Any) -> Any:  # type: ignore[override]  # typeshed ties function and arguments together
        del executor
        future: asyncio.Future[Any] = self.create_future()
        self._jobs.append((future, partial(func, *arguments)))
        self.call_later(self._draw.random() * 0.01, self._work)
        return future

    def _work(self) -> None:
        """Do what is next in line, unless nobody waits for it any more."""
        future, job = self._jobs.popleft()
        if future.cancelled():
            return
        try:
            tell = partial(self._settle, future, job())
        except Exception as error:  # noqa: BLE001  # whatever it is, whoever asked gets it
            tell = partial(self._settle, future, None, error)
        self.call_later(self._draw.random() * 0.01, tell)

    @staticmethod
    def _settle(future: asyncio.Future[Any], result: object, error: Exception | None = None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Scene:
    """What a test plays through once: its loop's clock, and chance, from the same seed as the loop's order."""

    def __init__(self, clock: VirtualClock, seed: int) -> None:
        self.clock = clock
        self.seed = seed
        self.chance = random.Random(~seed)  # noqa: S311  # the same play for the same seed

    async def pause(self, most: float = 1.0) -> None:
        """Wait: some turns, or for some time."""
        if self.chance.random() < 0.5:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
        else:
            await self.clock.sleep(self.chance.random() * most)


def replay(config: pytest.Config, scene: Callable[[Scene], Coroutine[None, None, None]], *, seeds: int = SEEDS) -> None:
    """Play with each seed; with ``--race-seed`` with that one alone.

    Whatever a task leaves behind, or an error that nobody looks at, fails it too.
    """
    chosen: int | None = config.getoption("--race-seed")
    for seed in range(seeds) if chosen is None else [chosen]:
        try:
            play(scene, seed)
        except BaseException as error:
            error.add_note(f"with this seed it fails again: pytest --race-seed {seed}")
            raise


def play(scene: Callable[[Scene], Coroutine[None, None, None]], seed: int) -> None:
    """Play once."""
    complaints: list[str] = []
    with asyncio.Runner(loop_factory=lambda: event_loops.made(lambda: ShuffledLoop(seed))) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))

        async def main() -> None:
            await scene(Scene(clock_of(loop), seed))
            for _ in range(50):  # whatever was told to end gets the turns to do so
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left behind: {left}"

        runner.run(main())
    assert not complaints, complaints
