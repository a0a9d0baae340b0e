from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


def test_a_probe_prints_a_page_and_keeps_what_other_commands_go_by(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file, folder = tmp_path / "profile.json", tmp_path / "recorded"
    organization = sandbox.organization_ids[0]
    result = amili("probe", organization, "--save", str(file), "--record", str(folder))
    assert result.exit_code == 0
    assert "as assumed  order: newest first" in result.stdout
    assert "\n         noted  default-page: " in result.stdout
    assert len([*folder.iterdir()]) > 10
    profile = json.loads(file.read_text("utf-8"))
    assert json.loads(amili("probe", organization, "--json").stdout)["generation"] == profile["generation"] == "G3"
    profile["page_size"] = 7
    file.write_text(json.dumps(profile), "utf-8")
    assert amili("--profile", str(file), "batches", "list", organization).exit_code == 0
    assert sandbox.requests.last("batches.list").query["PageSize"] == "7"


def test_a_sync_tells_what_it_assumes_and_the_server_does_not_keep(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file = tmp_path / "profile.json"
    finding = {"name": "order", "assumed": "newest first", "mark": "I", "found": "oldest first", "holds": False}
    file.write_text(json.dumps({"day": "2026-01-01", "client": "1", "findings": [finding]}), "utf-8")
    words = ("sync", "--org", sandbox.organization_ids[0], "--store", str(tmp_path / "store.db"))
    result = amili("--profile", str(file), *words)
    assert result.exit_code == 0
    assert "  order: oldest first (assumed: newest first)" in result.stderr
    assert "assumed" not in amili(*words).stderr


def test_a_profile_that_cannot_be_read_is_one_line(amili: Amili, tmp_path: Path) -> None:
    result = amili("--profile", str(tmp_path / "nowhere.json"), "batches", "list", "org")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: profile ")
