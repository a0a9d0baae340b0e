"""Print what the tests need beside the package and its extras, one requirement a line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def tools_of_the_tests() -> list[str]:
    """Return the entries of the extra ``dev`` that are other people's."""
    dev: list[str] = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["optional-dependencies"]["dev"]
    return [requirement for requirement in dev if not requirement.startswith("amili-async")]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{requirement}\n" for requirement in tools_of_the_tests()))
