from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from amili_async.cli import _sandbox as command
from amili_async.webhooks import WebhookVerifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Press Control-C once the sandbox serves; return the statuses of the token requests made before."""
    forever: Callable[[], Awaitable[int]] = command.forever
    introduce: Callable[[Sandbox, int], None] = command.introduce
    served: list[Sandbox] = []
    statuses: list[int] = []

    def introduce_and_keep(server: Sandbox, batches: int) -> None:
        introduce(server, batches)
        served.append(server)

    def ask_for_a_token() -> None:
        form = b"grant_type=client_credentials&client_id=%s&client_secret=%s"
        body = form % tuple(part.encode() for part in served[0].credentials)
        try:
            with urllib.request.urlopen(served[0].token_url, body, timeout=60) as answer:  # noqa: S310  # our own server
                statuses.append(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                statuses.append(error.code)

    async def serve_and_interrupt() -> int:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, ask_for_a_token)
        loop.call_soon(os.kill, os.getpid(), signal.SIGINT)
        return await forever()

    monkeypatch.setattr(command, "introduce", introduce_and_keep)
    monkeypatch.setattr(command, "forever", serve_and_interrupt)
    return statuses


def test_it_serves_until_control_c_and_prints_the_lines_to_paste(
    amili: Amili, interrupted: list[int], tmp_path: Path
) -> None:
    result = amili(
        "sandbox", "--port", "0", "--organizations", "2", "--batches", "3", "--orgs-file", str(tmp_path / "orgs")
    )
    assert result.exit_code == 130
    assert interrupted == [200]
    exports = dict(line.removeprefix("export ").split("=", 1) for line in result.stdout.splitlines())
    assert exports.keys() == {
        "AMILI_BASE_URL",
        "AMILI_TOKEN_URL",
        "AMILI_AUTOCOLLECT_URL",
        "AMILI_CLIENT_ID",
        "AMILI_CLIENT_SECRET",
    }
    assert exports["AMILI_BASE_URL"].endswith("/collection/v1")
    ids = (tmp_path / "orgs").read_text("utf-8").splitlines()
    assert len(ids) == 2
    assert f"amili batches list {ids[0]}" in result.stderr
    assert result.stderr.splitlines()[0].startswith("Serving 2 organizations with 3 batches each at http://127.0.0.1:")


def test_faults_given_on_the_command_line_happen(amili: Amili, interrupted: list[int]) -> None:
    result = amili("sandbox", "--port", "0", "--fault", "token:status=503,count=1", "--fault", "batches.*:latency=20ms")
    assert result.exit_code == 130
    assert interrupted == [503]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fault", "batches.list"], "write operation:what"),
        (["--latency", "soon"], "is no duration"),
        (["--generation", "G9"], "--generation"),
        (["--organizations", "0"], "--organizations"),
        (["--organizations", "99999999"], "organizations must be 1 to"),
    ],
)
def test_a_mistake_is_a_usage_error_that_says_what_would_be_right(amili: Amili, words: list[str], said: str) -> None:
    result = amili("sandbox", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


def test_a_port_that_is_taken_is_one_line(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("sandbox", "--port", str(sandbox.port))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "in use" in line


def test_the_data_of_a_seed_is_served_in_the_generation_that_is_asked_for(
    amili: Amili, interrupted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Sandbox] = []

    def keep(server: Sandbox, _batches: int) -> None:
        kept.append(server)

    monkeypatch.setattr(command, "introduce", keep)
    monkeypatch.setattr(command, "forever", interrupt)
    assert amili("sandbox", "--port", "0", "--generation", "G1", "--seed", "7").exit_code == 130
    assert kept[0].generation == "G1"
    assert interrupted == []


@pytest.mark.usefixtures("interrupted")
def test_events_go_to_a_url_signed_with_a_secret(amili: Amili, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Sandbox] = []

    def keep(server: Sandbox, batches: int) -> None:
        introduce(server, batches)
        kept.append(server)

    introduce: Callable[[Sandbox, int], None] = command.introduce
    monkeypatch.setattr(command, "introduce", keep)
    monkeypatch.setenv("AMILI_WEBHOOK_SECRET", "of the environment's")
    url = "http://127.0.0.1:9/amili/webhooks"
    for words in ([], ["--webhook-secret", "of the command line's", "--undocumented"]):
        result = amili("sandbox", "--port", "0", "--batches", "3", "--webhook-url", url, *words)
        assert f"Events go to {url}, signed with AMILI_WEBHOOK_SECRET or --webhook-secret." in result.stderr
        assert "of the" not in result.output
    for server, secret in zip(kept, ("of the environment's", "of the command line's"), strict=True):
        assert server.webhooks.url == url
        delivery = server.webhooks.send({"type": "MOON_LANDED"})
        WebhookVerifier(secret).verify(delivery.body, delivery.headers)


@pytest.mark.parametrize(
    ("words", "variable", "said"),
    [
        (["--webhook-url", "localhost:8000"], None, "webhook_url must be a URL such as http://"),
        (["--webhook-secret", ""], None, "webhook_secret must not be empty"),
        ([], "", "AMILI_WEBHOOK_SECRET is set, and empty"),
    ],
)
def test_events_that_could_not_be_delivered_or_signed_are_refused(
    words: list[str], variable: str | None, said: str, *, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("AMILI_WEBHOOK_SECRET", variable)
    result = amili("sandbox", "--port", "0", *words)
    assert result.exit_code == 2
    assert said in result.stderr


async def interrupt() -> int:
    """Press Control-C."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)
    return 0


def test_a_file_of_ids_is_replaced_only_where_that_is_said(
    amili: Amili, interrupted: list[int], tmp_path: Path
) -> None:
    there = tmp_path / "organizations.txt"
    there.write_text("mine", "utf-8")
    words = ("sandbox", "--port", "0", "--orgs-file", str(there))
    refused = amili(*words)
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr
    assert (there.read_text("utf-8"), interrupted) == ("mine", [])
    assert amili(*words, "--overwrite").exit_code == 130
    assert len(there.read_text("utf-8").split()) == 20


def test_a_port_in_use_is_named_with_the_way_out(amili: Amili) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = amili("sandbox", "--port", str(port))
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: port {port} is in use already; --port names another, and --port 0 takes any that is free\n"
    )


@pytest.mark.usefixtures("interrupted")
def test_a_folder_that_is_not_there_is_named(amili: Amili, tmp_path: Path) -> None:
    result = amili("sandbox", "--port", "0", "--orgs-file", str(tmp_path / "nowhere" / "ids"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"Error: No such file or directory: {tmp_path / 'nowhere' / 'ids'}"
