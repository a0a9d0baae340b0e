"""Runs a command's work to its end and leaves with an exit status and, where it failed, one line."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import warnings
from contextlib import suppress
from functools import partial
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any

import typer

from amili_async.cli._console import describe, fail, say, without_password
from amili_async.cli._options import as_typed
from amili_async.errors import AmiliError, AmiliWarning, ConfigurationError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from amili_async._cursor import Cursor

DONE = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130

EXTRAS = {
    "asyncpg": "postgres",
    "dask": "dask",
    "distributed": "dask",
    "jinja2": "report",
    "pdoc": "docs",
    "pyarrow": "arrow",
    "greenlet": "sync",
    "sqlalchemy": "sync",
}
"""Which extra brings a module that a command imports."""


def run(work: Callable[[], Coroutine[object, object, int]], *, resume: Callable[[], str | None] = lambda: None) -> None:
    """Run the work in an event loop of its own and leave with the exit status that it returns.

    Control-C, SIGTERM and a terminal that closes cancel the work, so that what it holds is put back in order;
    ``resume`` then returns the line that goes on from there, where there is one.

    Raises:
        typer.Exit: always; that is how a command leaves.
    """
    raise typer.Exit(_status(work, resume))


class _TerminatedError(Exception):
    """A signal came: whoever runs this, such as systemd or Kubernetes, wants it to end, or its terminal was closed."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.status = 128 + number


async def _until_terminated(work: Callable[[], Coroutine[object, object, int]]) -> int:
    """Return what the work returns; SIGTERM and SIGHUP cancel it.

    Raises:
        _TerminatedError: that happened, and what the work held is back in order.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101  # a coroutine runs in one
    told, heard = list[signal.Signals](), list[signal.Signals]()

    def stop(number: signal.Signals) -> None:
        told.append(number)
        task.cancel()

    # Not every system has signals for event loops; there they end the process as they always did.
    with suppress(NotImplementedError):
        for number in (signal.SIGTERM, *_hangup()):
            loop.add_signal_handler(number, stop, number)
            heard.append(number)
    try:
        return await work()
    except asyncio.CancelledError:
        if told:
            raise _TerminatedError(told[0]) from None
        raise
    finally:
        for number in heard:
            loop.remove_signal_handler(number)


def _hangup() -> list[signal.Signals]:
    """Return the signal of a terminal that was closed, unless somebody has said that it shall not matter (nohup)."""
    number = getattr(signal, "SIGHUP", None)
    return [] if number is None or signal.getsignal(number) is not signal.SIG_DFL else [number]


def _show_warning(others: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning of this package as a line; where it stands in the code helps nobody here."""
    if issubclass(category, AmiliWarning):
        say(f"Warning: {as_typed(str(message))}")
    else:
        others(message, category, *where)


def _status(work: Callable[[], Coroutine[object, object, int]], resume: Callable[[], str | None]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, warnings.showwarning)
            status = asyncio.run(_until_terminated(work))
        sys.stdout.flush()
    except (KeyboardInterrupt, _TerminatedError) as ended:
        close_standard_output()
        line = resume()
        word, status = (
            ("Terminated", ended.status) if isinstance(ended, _TerminatedError) else ("Interrupted", INTERRUPTED)
        )
        say(f"{word}. This goes on from there:\n  {line}" if line else f"{word}.")
        return status
    except BrokenPipeError:
        # Whoever read our lines, such as `head`, has had enough of them.
        close_standard_output()
        return DONE
    except ConfigurationError as error:
        return _failed(as_typed(error.message), USAGE)
    except AmiliError as error:
        status = _failed(describe(error))
        if _got_somewhere(error) and (line := resume()):
            say(f"This goes on from there:\n  {line}")
        return status
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _failed(f"this needs an extra: pip install 'amili-async[cli,{extra}]'", USAGE)
    except OSError as error:
        close_standard_output()
        where = f": {error.filename}" if error.filename else ""
        return _failed(f"{error.strerror or error}{where}")
    return status


def _got_somewhere(error: AmiliError) -> bool:
    """Return whether the same command would go on, and not just fail again at its beginning."""
    if error.cursor is None:
        return isinstance(error, DeadlineExceededError)
    return error.cursor.token is not None or error.cursor.row > 0


def command_line(*, cursor: Cursor | None = None) -> str:
    """Return the line that the user typed, to be typed again; with a cursor in the place of the one it had."""
    words = sys.argv[1:]
    if cursor is not None:
        at = [index for index, word in enumerate(words) if word == "--cursor" or word.startswith("--cursor=")]
        for index in reversed(at):
            del words[index : index + (2 if words[index] == "--cursor" else 1)]
        words += ["--cursor", cursor.encode()]
    return shlex.join(["amili", *map(without_password, words)])


def _failed(message: str, status: int = FAILED) -> int:
    fail(message)
    return status


def close_standard_output() -> None:
    """Let what is still buffered go nowhere: Python's own flush at exit would fail on it once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(UnsupportedOperation):  # a caller that captures the output has no file to redirect
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
