"""Writing from the command line: whole files, each row once, whatever happens in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amili_async import NewInvoice
from amili_async.cli import _create
from amili_async.cli._input import Row
from amili_async.cli._journal import Ended, Heading, Journal
from amili_async.errors import ConfigurationError
from amili_async.sandbox import Fault
from tests.cli.counting_server import CountingServer, counting_server
from tests.support.processes import child

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typer.testing import Result

    from amili_async.sandbox import Sandbox

    Amili = Callable[..., Result]

HEADING = Heading(operation="invoices.create", organization_id="org", server="http://here")


def invoices(path: Path, count: int, *, start: int = 0) -> Path:
    """Write a file of invoices."""
    lines = [
        json.dumps({"invoiceNumber": f"INV-{number}", "originalInvoiceAmount": 100.25, "currency": "NOK"})
        for number in range(start, start + count)
    ]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def always(_server: str) -> bool:
    """Say yes."""
    return True


def sent_numbers(sandbox: Sandbox) -> list[str]:
    """Return the numbers of all invoices that reached the server, in order."""
    bodies = [json.loads(request.body) for request in sandbox.requests.of("invoices.create")]
    return [invoice["invoiceNumber"] for body in bodies for invoice in body["invoices"]]


def test_a_file_is_sent_in_writes_and_a_second_run_sends_nothing(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file, organization = invoices(tmp_path / "invoices.jsonl", 25), sandbox.organization_ids[0]
    words = ("invoices", "create", organization, "--file", str(file), "--chunk-size", "10")
    first = amili(*words)
    assert first.exit_code == 0
    assert [line.split("\t")[0::2] for line in first.stdout.splitlines()] == [
        ["accepted", "10 invoices"], ["accepted", "10 invoices"], ["accepted", "5 invoices"],
    ]  # fmt: skip
    assert "25 invoices to send" in first.stderr
    assert "2,506.25 NOK" in first.stderr
    assert sent_numbers(sandbox) == [f"INV-{number}" for number in range(25)]
    second = amili(*words)
    assert (second.exit_code, second.stdout) == (0, "")
    assert "0 invoices to send" in second.stderr
    assert "25 were sent before" in second.stderr
    invoices(file, 2, start=25)
    assert amili(*words, "--json").exit_code == 0
    assert sent_numbers(sandbox)[25:] == ["INV-25", "INV-26"]


def test_a_dry_run_checks_everything_and_sends_and_writes_nothing(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file = invoices(tmp_path / "invoices.jsonl", 3)
    words = ("invoices", "create", sandbox.organization_ids[0], "--file", str(file))
    first = amili(*words, "--dry-run")
    assert first.exit_code == 0
    assert "3 invoices to send" in first.stderr
    assert "sent before" not in first.stderr
    assert (sandbox.requests.count("invoices.create"), [*tmp_path.iterdir()]) == (0, [file])
    assert amili(*words).exit_code == 0
    again = amili(*words, "--dry-run")
    assert "3 were sent before" in again.stderr


def test_the_journal_is_its_owners_alone_and_holds_no_persons_data(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file = tmp_path / "invoices.jsonl"
    row = {"invoiceNumber": "INV-1", "originalInvoiceAmount": 1, "extra": {"debtor": {"name": "Ola Nordmann"}}}
    file.write_text(json.dumps(row), "utf-8")
    assert amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file)).exit_code == 0
    journal = tmp_path / "invoices.jsonl.journal"
    assert journal.stat().st_mode & 0o777 == 0o600
    assert "Ola" not in journal.read_text("utf-8")
    assert "INV-1" not in journal.read_text("utf-8")


def test_every_problem_of_every_row_is_told_and_nothing_is_sent(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    file = tmp_path / "invoices.jsonl"
    rows = [
        '{"invoiceNumber": "INV-1", "originalInvoiceAmount": 1}',
        '{"invoceNumber": "INV-2", "originalInvoiceAmount": 1}',
        "[]",
        '{"originalInvoiceAmount": 1}',
        "",
        '{"invoiceNumber": "INV-1", "originalInvoiceAmount": 2}',
        '{"invoiceNumber": "INV-3", "invoice_number": "INV-4", "originalInvoiceAmount": 2, "extra": 1}',
        '{"invoiceNumber": "INV-5", "originalInvoiceAmount": "1", "invoiceDate": "soon"}',
        '{"invoiceNumber": "INV-6", "originalInvoiceAmount": 1, "extra": {"a": "\\ud800"}}',
        '{"invoiceNumber": "INV-7", "originalInvoiceAmount": 1, "extra.kid": "0123"}',
    ]
    file.write_text("\n".join(rows), "utf-8")
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    problems = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in problems[:-1]] == [
        f"line {line}" for line in (2, 3, 4, 6, 7, 7, 8, 8, 9, 10)
    ]
    assert "did you mean invoiceNumber?" in problems[0]
    assert problems[2] == "line 4: invoiceNumber is missing"
    assert problems[3] == "line 6: invoiceNumber is that of line 1"
    assert problems[4:8] == [
        "line 7: invoice_number is there by both its names",
        "line 7: extra must be an object",
        "line 8: originalInvoiceAmount must be a number, not text",
        "line 8: invoiceDate is not ISO 8601, such as 2024-01-15 or 2024-01-15T00:00:00Z",
    ]
    assert problems[9].startswith("line 10: 'extra.kid' is no member of NewInvoice; there are ")
    assert problems[9].endswith("; what no field names stands under extra")
    assert problems[-1] == f"10 problems in {file}; nothing was sent."
    assert sandbox.requests.count("invoices.create") == 0


def test_a_row_of_a_csv_is_told_all_that_is_wrong_with_it(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    rows = [
        "invoiceNumber,originalInvoiceAmount,vat,dueDate,type",
        "INV-1,many,ja,soon,",
        ",1,,later,",
        "INV-1,1,,,NOTCE",
    ]
    file.write_text("\n".join(rows), "utf-8")
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "line 2: originalInvoiceAmount must be a number such as 4500.00, not 'many'",
        "line 2: vat must be true or false, not 'ja'",
        "line 2: dueDate is not ISO 8601, such as 2024-01-15 or 2024-01-15T00:00:00Z",
        "line 3: invoiceNumber is missing",
        "line 3: dueDate is not ISO 8601, such as 2024-01-15 or 2024-01-15T00:00:00Z",
        """line 4: type is 'NOTCE': did you mean "NOTICE"?""",
        "line 4: invoiceNumber is that of line 2",
        f"7 problems in {file}; nothing was sent.",
    ]
    assert sandbox.requests.count("invoices.create") == 0


def test_a_csv_from_a_norwegian_excel_is_read(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    rows = [
        "invoiceNumber;original_invoice_amount;currency;vat;dueDate;extra.kid;description",
        "INV-1;4500,50;NOK;true;2024-02-15;0123;Blåbær",
        ";;;;;;",
        "INV-2;12;;;;;",
    ]
    file.write_text("\r\n".join(rows), "utf-8-sig")
    assert amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file)).exit_code == 0
    (request,) = sandbox.requests.of("invoices.create")
    assert b'"originalInvoiceAmount":4500.50' in request.body
    first, second = json.loads(request.body)["invoices"]
    assert (first["vat"], first["kid"], first["description"]) == (True, "0123", "Blåbær")
    assert second.keys() == {"invoiceNumber", "originalInvoiceAmount"}


@pytest.mark.parametrize(("cell", "amount"), [("0,500", 0.5), ("4.5000", 4.5), ("4500,00", 4500)])
def test_an_amount_that_can_mean_one_thing_only_is_taken(
    cell: str, amount: float, *, sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"invoiceNumber;originalInvoiceAmount\nINV-1;{cell}\n", "utf-8")
    assert amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file)).exit_code == 0
    (request,) = sandbox.requests.of("invoices.create")
    assert json.loads(request.body)["invoices"][0]["originalInvoiceAmount"] == amount


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "invoiceNumber,amont\n", "'amont' is no member of NewInvoice"),
        ("a.csv", "invoiceId,kid\n", "--file: 'invoiceId', 'kid' are no members of NewInvoice; there are "),
        ("a.csv", "kid,invoiceNumber\n", "; what no field names stands under extra, as in extra.kid"),
        ("a.jsonl", '{"kid": 1}', "; what no field names stands under extra"),
        (
            "a.csv",
            "invoiceNumber,originalInvoiceAmount,type\nINV-1,1,NOTCE\n",
            """line 2: type is 'NOTCE': did you mean "NOTICE"?\n1 problem in """,
        ),
        ("a.csv", "invoiceNumber,invoice_number\n", "the column invoice_number is there twice"),
        ("a.csv", "invoiceNumber,originalInvoiceAmount\nINV-1,1,2\n", "line 2: it has 3 cells, and the heading 2"),
        (
            "a.csv",
            "invoiceNumber,originalInvoiceAmount\nINV-1,1.000.00\n",
            "line 2: originalInvoiceAmount must be a number",
        ),
        (
            "a.csv",
            "invoiceNumber,originalInvoiceAmount,vat\nINV-1,1,ja\n",
            "line 2: vat must be true or false, not 'ja'",
        ),
        ("a.csv", 'invoiceNumber,originalInvoiceAmount\n"INV"-1,1\n', "line 2: it is no CSV"),
        ("a.csv", "invoiceNumber\nINV-1\n", "line 2: originalInvoiceAmount is missing"),
        (
            "a.csv",
            "invoiceNumber,originalInvoiceAmount\nINV-1,4.500\n",
            "line 2: originalInvoiceAmount '4.500' may mean 4500 or 4.500; write 4500.00 or 4.5000\n",
        ),
        (
            "a.csv",
            'invoiceNumber,originalInvoiceAmount\nINV-1,"12,500"\n',
            "line 2: originalInvoiceAmount '12,500' may mean 12500 or 12.500; write 12500.00 or 12.5000\n",
        ),
        (
            "a.jsonl",
            '{"invoiceNumber": "I", "originalInvoiceAmount": 1, "originalInvoiceAmount": 1000}',
            "line 1: 'originalInvoiceAmount' is there twice\n",
        ),
        (
            "a.jsonl",
            '{"invoiceNumber": "I", "originalInvoiceAmount": 1, "extra": {"debtor": [{"no": 1, "no": 2}]}}',
            "line 1: 'no' is there twice\n",
        ),
        ("a.xlsx", "", "must end in .jsonl or .csv"),
    ],
)
def test_a_file_that_cannot_be_sent_says_why(
    name: str, text: str, said: str, *, sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file))
    assert result.exit_code == 2
    assert said in result.stderr
    assert sandbox.requests.count("invoices.create") == 0


def test_a_file_that_is_no_text_or_not_there_is_one_line(sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(tmp_path / "a.csv"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "save it as CSV UTF-8" in result.stderr
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(tmp_path / "b.csv"))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "row", "column"),
    [
        ("payments", {"invoiceId": "i", "amount": 5, "currency": "NOK"}, "payments"),
        ("corrections", {"invoiceId": "i", "amount": 5}, "corrections"),
    ],
)
def test_payments_and_corrections_are_sent_the_same_way_and_equal_ones_are_two(
    kind: str, row: dict[str, object], column: str, *, sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    organization = sandbox.organization_ids[0]
    invoice = json.loads(amili("invoices", "list", organization, "--limit", "1", "--json").stdout)["id"]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([json.dumps({**row, "invoiceId": invoice})] * 2), "utf-8")
    for _ in range(2):
        assert amili(kind, "create", organization, "--file", str(file)).exit_code == 0
    (request,) = sandbox.requests.of(f"{kind}.create")
    assert len(json.loads(request.body)[column]) == 2


def test_what_may_have_been_sent_is_left_alone_until_it_is_asked_for(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file, organization = invoices(tmp_path / "invoices.jsonl", 3), sandbox.organization_ids[0]
    words = ("invoices", "create", organization, "--file", str(file), "--chunk-size", "2")
    sandbox.faults.add(Fault("invoices.create", status=500, acts=True, count=1))
    lost = amili(*words)
    assert lost.exit_code == 1
    assert "2 invoices may have been sent and are left alone" in lost.stderr
    (sent,) = sandbox.requests.of("invoices.create")
    key = sent.headers["idempotencykey"]
    assert f"amili batches list {organization} --idempotency-key {key}" in lost.stderr
    again = amili(*words)
    assert again.exit_code == 1
    assert sent_numbers(sandbox) == ["INV-0", "INV-1", "INV-2"]
    assert amili(*words).exit_code == 1
    resent = amili(*words, "--resend")
    assert resent.exit_code == 0
    assert sent_numbers(sandbox) == ["INV-0", "INV-1", "INV-2", "INV-0", "INV-1"]
    assert sandbox.requests.of("invoices.create")[-1].headers["idempotencykey"] == key
    assert amili(*words, "--resend").exit_code == 0
    assert len(sent_numbers(sandbox)) == 5


def test_what_was_refused_is_told_and_sent_again_by_the_next_run(
    sandbox: Sandbox, amili: Amili, tmp_path: Path
) -> None:
    file, organization = invoices(tmp_path / "invoices.jsonl", 3), sandbox.organization_ids[0]
    words = ("invoices", "create", organization, "--file", str(file), "--chunk-size", "1")
    sandbox.faults.add(Fault("invoices.create", status=422, skip=1, count=1))
    result = amili(*words)
    assert result.exit_code == 1
    assert "1 invoices were refused" in result.stderr
    assert len(result.stdout.splitlines()) == 2
    sandbox.faults.add(Fault("invoices.create", status=403, count=1))
    assert amili(*words).exit_code == 1
    assert amili(*words).exit_code == 0
    assert sent_numbers(sandbox) == ["INV-0", "INV-1", "INV-2", "INV-1", "INV-1"]


@pytest.mark.parametrize(
    ("terminal", "answer", "words", "status", "said"),
    [
        (False, "", (), 1, "nobody can be asked: say --yes"),
        (True, "n\n", (), 1, "Nothing was sent."),
        (True, "y\n", (), 0, "Send them?"),
        (False, "", ("--yes",), 0, ""),
    ],
)
def test_production_is_asked_about(
    *, terminal: bool, answer: str, words: tuple[str, ...], status: int, said: str,
    sandbox: Sandbox, amili: Amili, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = invoices(tmp_path / "invoices.jsonl", 1)
    monkeypatch.setattr(_create, "is_production", always)
    if terminal:
        monkeypatch.setattr(_create, "asked_at_terminal", lambda: True)
    result = amili("invoices", "create", sandbox.organization_ids[0], "--file", str(file), *words, typed=answer)
    assert result.exit_code == status
    assert said in result.stderr
    assert sandbox.requests.count("invoices.create") == (status == 0)


def test_production_is_told_from_every_other_server() -> None:
    assert _create.is_production("https://api.amili.no/collection/v1")
    assert not _create.is_production("https://api.staging.amili.no/collection/v1")


def test_a_journal_knows_its_writes_and_who_else_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, HEADING) as journal:
        first, second = journal.begin(["a", "b"]), journal.begin(["c"])
        journal.end(Ended(write=first.write, outcome="accepted", batch_id="batch"))
        with pytest.raises(ConfigurationError, match="another process is sending"):
            Journal(path, HEADING)
    with Journal(path, HEADING) as journal:
        assert journal.rows("accepted") == {"a", "b"}
        assert journal.unknown() == [second]
        assert journal.begin(["d"]).key == f"{first.key.removesuffix('0')}2"
    other = Heading(operation="invoices.create", organization_id="another", server="http://here")
    with pytest.raises(ConfigurationError, match="the journal of other writes"):
        Journal(path, other)


@pytest.mark.parametrize("text", ["{}\n", "no journal\n", "no journal"])
def test_a_file_that_is_no_journal_is_left_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match="no journal of ours"):
        Journal(path, HEADING)
    assert path.read_text("utf-8") == text


def test_a_line_that_was_cut_off_while_it_was_written_never_left(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, HEADING) as journal:
        journal.begin(["a"])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with Journal(path, HEADING) as journal:
            assert journal.unknown() == []
            assert journal.begin(["b"]).write == 0


def test_a_row_is_known_by_what_is_sent_of_it_and_by_which_of_its_kind_it_is() -> None:
    one = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1))
    same = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1))
    other = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(2))
    found = _create.digests([Row(line, model) for line, model in enumerate((one, same, other))])
    assert found[1] == f"{found[0]}-2"
    assert len({*found}) == 3


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 10, 250])
def test_a_full_disk_ends_it_before_anything_leaves(size: int, sandbox: Sandbox, amili: Amili, tmp_path: Path) -> None:
    file = invoices(tmp_path / "invoices.jsonl", 1)
    words = ("invoices", "create", sandbox.organization_ids[0], "--file", str(file))
    with files_of_at_most(size):
        result = amili(*words)
    assert result.exit_code == 1
    assert sandbox.requests.count("invoices.create") == 0
    assert "Error: " in result.stderr.splitlines()[-1]
    assert amili(*words).exit_code == 0
    assert sent_numbers(sandbox) == ["INV-0"]


def test_a_journal_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no file"):
        Journal(Path(os.devnull), HEADING)
    assert not [*tmp_path.iterdir()]


async def run_once(server: CountingServer, file: Path, *words: str, kill_after: float | None = None) -> int:
    """Run the command in a process of its own; kill it after a while where that is asked for."""
    environment = {
        "PATH": os.environ["PATH"],
        "AMILI_TOKEN": "t",
        "AMILI_BASE_URL": server.url,
        "AMILI_TOKEN_URL": server.url,
    }
    command = (sys.executable, "-c", "import sys; from amili_async.cli import main; sys.exit(main())")
    words = ("invoices", "create", "org", "--file", str(file), "--chunk-size", "10", *words)
    nowhere = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    async with child(*command, *words, env=environment, **nowhere) as process:
        ended = asyncio.ensure_future(process.wait())
        if kill_after is not None:
            writes = server.writes
            async with asyncio.timeout(300):
                while server.writes == writes and not ended.done():
                    await asyncio.wait({ended}, timeout=0.001)
            await asyncio.wait({ended}, timeout=kill_after)
            if not ended.done():
                process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(300):
            return await ended


@pytest.mark.kill
async def test_killed_at_any_moment_nothing_is_sent_twice_and_nothing_is_forgotten(tmp_path: Path) -> None:
    file, seed = invoices(tmp_path / "invoices.jsonl", 2_000), random.randrange(2**32)  # noqa: S311  # the same
    chance = random.Random(seed)  # noqa: S311  # it draws moments
    async with counting_server(latency=0.004) as server:
        for _ in range(30):
            await run_once(server, file, kill_after=chance.uniform(0, 0.05))
        await run_once(server, file)
        assert set(server.numbers.values()) == {1}, f"{seed=}"
        with Journal(
            file.with_name("invoices.jsonl.journal"),
            Heading(operation="invoices.create", organization_id="org", server=server.url),
        ) as journal:
            unknown = {row for sent in journal.unknown() for row in sent.rows}
            accepted = journal.rows("accepted")
        assert len(accepted | unknown) == 2_000
        assert len(accepted) <= len(server.numbers)
        assert server.numbers.total() + len(unknown) >= 2_000
        assert await run_once(server, file, "--resend") == 0
        assert len(server.numbers) == 2_000
        assert server.numbers.total() <= 2_000 + len(unknown)


def test_an_empty_organization_is_told_before_anything_is_read(amili: Amili, tmp_path: Path) -> None:
    result = amili("invoices", "create", " ", "--file", str(tmp_path / "none.csv"))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ORGANIZATION must be an id")
