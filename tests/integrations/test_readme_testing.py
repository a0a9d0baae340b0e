"""The README's recipe for tests of one's own, run as a user would run it, and its table of faults."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from amili_async.sandbox import Fault
from tests.support.documents import text, titled

if TYPE_CHECKING:
    from pathlib import Path

TEXT = text("amili_async/sandbox")


def test_the_recipe_passes_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "test_chasing.py").write_text(titled("test_chasing.py"), "utf-8")
    done = subprocess.run(  # noqa: S603  # our own recipe
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--strict-markers"),
            *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_table_of_faults_is_that_of_the_docstring() -> None:
    documented = inspect.getdoc(Fault)
    assert documented is not None
    table = documented.partition("what happens\n")[2].partition("``count``")[0]
    rows = re.findall(r"^``([a-z-]+)`` +(.*)$", table, re.MULTILINE)
    assert len(rows) > 30
    for kind, words in rows:
        assert f"| `{kind}` | {words.replace('``', '`')} |\n" in TEXT
