"""The JSON examples of Amili's documentation, one file each under ``fixtures``."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "fixtures"


def example(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()
