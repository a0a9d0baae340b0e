"""The ``amili`` command. What it is built with (typer, rich) comes with the extra ``cli`` and is imported only here."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from importlib.util import find_spec


def main() -> int:
    """Run the command line; return its exit status: 0, 1 (failed), 2 (usage), 130 (interrupted)."""
    if find_spec("typer") is None or find_spec("rich") is None:
        print("amili: the command line is an extra: pip install 'amili-async[cli,sync]'", file=sys.stderr)  # noqa: T201  # there is no rich to print with
        return 2
    # The commands say in their own words what happens; the package's log lines would tear their progress bars apart.
    logging.getLogger("amili_async").addHandler(logging.NullHandler())
    with suppress(KeyboardInterrupt):
        from amili_async.cli._application import app  # noqa: PLC0415  # only where the extra is installed
        from amili_async.cli._console import Saying  # noqa: PLC0415  # the same

        logging.getLogger("amili_async.store").addHandler(Saying())  # a lock that is waited for is told by nothing else
        app(prog_name="amili")  # leaves by SystemExit
    return 130
