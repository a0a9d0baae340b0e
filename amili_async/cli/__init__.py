"""The ``amili`` command. What it is built with (typer, rich) comes with the extra ``cli`` and is imported only here."""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec
from io import TextIOWrapper


def main() -> int:
    """Run the command line; return its exit status: 0, 1 (failed), 2 (usage), 130 (interrupted)."""
    if find_spec("typer") is None or find_spec("rich") is None:
        print("amili: the command line is an extra: pip install 'amili-async[cli,sync]'", file=sys.stderr)  # noqa: T201  # there is no rich to print with
        return 2
    _prepare_streams()
    # The commands say in their own words what happens; the package's log lines would tear their progress bars apart.
    logging.getLogger("amili_async").addHandler(logging.NullHandler())
    try:
        _run()
    except KeyboardInterrupt:
        return 130
    return 1


def _run() -> None:
    """Run the command that was typed, and leave by SystemExit; return where the output could not be written."""
    from amili_async.cli._application import app  # noqa: PLC0415  # only where the extra is installed
    from amili_async.cli._console import Saying, fail  # noqa: PLC0415  # the same
    from amili_async.cli._running import close_standard_output  # noqa: PLC0415  # the same

    logging.getLogger("amili_async.store").addHandler(Saying())  # a lock that is waited for is told by nothing else
    try:
        app(prog_name="amili")
    except OSError as error:  # of what typer prints by itself, such as --help into a disk that is full
        close_standard_output()
        fail(error.strerror or str(error))


def _prepare_streams() -> None:
    """Let no text fail for where it is printed: what an encoding lacks is escaped, what was closed leads nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  # open to the end
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
