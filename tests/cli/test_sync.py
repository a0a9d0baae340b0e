from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import amili_async.sync
from amili_async.cli import _sync as command
from amili_async.cli._application import app
from amili_async.cli._sync import age_of
from amili_async.sandbox import Fault
from amili_async.sync import Counts, SqlStore, SyncReport
from tests.support.processes import popen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from typer.testing import Result

    from amili_async.sandbox import Sandbox
    from amili_async.sync import LeaseConflict, PageWrite, WriteResult

    Amili = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_in(file: str = "amili.db") -> int:
    with closing(sqlite3.connect(file)) as connection:
        # One statement, which sees one moment: a process may be writing while this reads.
        count, different = connection.execute(
            "select count(*), count(distinct organization_id || id) from batches"
        ).fetchone()
    assert isinstance(count, int)
    assert different == count
    return count


def one_line(text: str) -> str:
    """Return a usage error without its frame."""
    return " ".join(text.replace("│", " ").split())


def test_the_sandbox_is_synced_whole_and_a_second_run_finds_nothing_new(
    amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SANDBOX_ORGANIZATIONS", 3)
    monkeypatch.setattr(command, "SANDBOX_BATCHES", 40)
    first = amili("sync", "--sandbox")
    assert first.exit_code == 0
    assert first.stdout.splitlines()[0].startswith("Synced 3 organizations into amili.db in ")
    assert first.stdout.splitlines()[1] == "  batches: 120 new, 0 changed, 120 in the store"
    assert rows_in() == 120
    second = amili("sync", "--sandbox")
    assert second.exit_code == 0
    assert second.stdout.splitlines()[1] == "  batches: nothing new, nothing changed, 120 in the store"
    assert rows_in() == 120


def test_no_proxy_stands_between_the_command_and_its_own_sandbox(
    amili: Amili, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setattr(command, "SANDBOX_ORGANIZATIONS", 1)
    monkeypatch.setattr(command, "SANDBOX_BATCHES", 3)
    assert amili("sync", "--sandbox").exit_code == 0
    assert rows_in() == 3


def test_the_readmes_first_line_syncs_twenty_organizations_of_five_hundred_batches() -> None:
    assert (command.SANDBOX_ORGANIZATIONS, command.SANDBOX_BATCHES) == (20, 500)


def test_what_drift_was_met_is_told_after_the_numbers(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", "unknown-value"))
    result = amili("sync", "--org", sandbox.organization_ids[0])
    assert result.exit_code == 0
    assert "Not quite as documented, and read all the same:" in result.stderr
    assert result.output.index("Synced 1 organization into") < result.output.index("Not quite as documented")


def test_the_report_as_json_holds_every_number(sandbox: Sandbox, amili: Amili) -> None:
    result = amili("sync", "--org", sandbox.organization_ids[0], "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["organizations"] == 1
    assert report["resources"]["batches"]["new"] == 30
    assert report["failures"] == []
    with closing(sqlite3.connect("amili.db")) as store:
        assert store.execute("SELECT id FROM runs").fetchall() == [(report["run"],)]


def test_organizations_come_from_options_and_a_file_each_once(sandbox: Sandbox, amili: Amili, folder: Path) -> None:
    one, two, three = sandbox.organization_ids
    (folder / "ids").write_text(f"# ours\n\n{two}  # the second\n{one}\n{three}\n", "utf-8-sig")
    result = amili("sync", "--org", one, "--org", two, "--orgs-file", "ids")
    assert result.exit_code == 0
    assert result.stdout.startswith("Synced 3 organizations ")
    assert sandbox.requests.count("batches.list") == 9


@pytest.fixture
def creditors(sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file of two creditors who share three organizations."""
    one, two, three = sandbox.organization_ids
    north, south = sandbox.limited_credentials([one]), sandbox.limited_credentials([two, three])
    for name in ("AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET", "AMILI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NORTH_SECRET", north.client_secret)
    for name, value in zip(("south-id", "south-secret"), south, strict=True):
        (folder / name).write_text(value, "utf-8")
    (folder / "creditors.toml").write_text(
        f"""
        [north]
        organizations = ["{one}"]
        client_id = "{north.client_id}"
        client_secret_env = "NORTH_SECRET"

        [south]
        organizations = ["{two}", "{three}"]
        client_id_file = "south-id"
        client_secret_file = "south-secret"
        """,
        "utf-8",
    )
    return folder / "creditors.toml"


def test_several_creditors_are_read_each_with_its_own_credentials(
    sandbox: Sandbox, amili: Amili, creditors: Path
) -> None:
    sandbox.faults.add("batches.list:unknown-member,count=1")
    result = amili("--debug", "sync", "--creditors", str(creditors))
    assert result.exit_code == 0, result.output
    assert "Not quite as documented" in result.stderr
    assert result.stdout.startswith("Synced 3 organizations ")
    assert sandbox.requests.count("token") == 2
    assert "GET /orgs/{organization_id}/batches: 200" in result.stderr
    assert rows_in() == 90


def test_of_the_creditors_organizations_some_may_be_named(sandbox: Sandbox, amili: Amili, creditors: Path) -> None:
    _, two, _ = sandbox.organization_ids
    assert amili("sync", "--creditors", str(creditors), "--org", two).stdout.startswith("Synced 1 organization ")
    result = amili("sync", "--creditors", str(creditors), "--org", "another")
    assert result.exit_code == 2
    assert result.stderr.endswith("creditors.toml names no credentials for another\n")


def test_a_creditor_that_is_refused_fails_its_own_organizations(
    sandbox: Sandbox, amili: Amili, creditors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORTH_SECRET", "wrong")
    result = amili("sync", "--creditors", str(creditors))
    assert result.exit_code == 1
    assert result.stdout.startswith("Synced 2 organizations ")
    assert f"  {sandbox.organization_ids[0]} " in result.stderr
    assert "refused the credentials" in result.stderr
    assert "wrong" not in result.stderr


def test_a_sharp_inside_an_id_belongs_to_it_and_a_byte_order_mark_to_none(folder: Path) -> None:
    (folder / "ids").write_text("one#1\ntwo # two\n #three\n", "utf-8-sig")
    assert command.read_ids(folder / "ids") == ["one#1", "two"]


def test_a_password_that_was_typed_is_warned_of_and_one_from_the_environment_is_not(
    amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/amili"
    warned = "A password on a command line is seen by everyone"
    typed = amili("sync", "--org", "one", "--store", url)
    assert warned in typed.stderr
    monkeypatch.setenv("AMILI_STORE", url)
    kept = amili("sync", "--org", "one")
    assert warned not in kept.stderr
    for result in (typed, kept):
        assert result.exit_code == 2  # there are no credentials
        assert "secret" not in result.output


def test_a_store_without_a_name_is_refused(amili: Amili) -> None:
    result = amili("sync", "--org", "one", "--store", "")
    assert result.exit_code == 2
    assert "--store is empty" in result.stderr


@pytest.mark.parametrize(
    "command", [("sync", "--org", "one"), ("status",), ("store", "purge", "--organization", "one")]
)
def test_a_store_that_a_deployment_forgot_to_name_is_no_file_in_this_folder(
    command: tuple[str, ...], amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_STORE", "")
    result = amili(*command)
    assert result.exit_code == 2
    assert "AMILI_STORE is set, and empty; give it a value or unset it" in result.stderr
    assert "AMILI_STORE" not in amili(*command, "--store", "named.db").stderr


def test_organizations_come_from_standard_input(sandbox: Sandbox) -> None:
    ids = "\n".join(sandbox.organization_ids)
    result = CliRunner().invoke(app, ["sync", "--orgs-file", "-"], input=ids)
    assert result.exit_code == 0
    assert rows_in() == 90


def test_a_store_is_a_file_or_a_url_and_may_stand_in_the_environment(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = sandbox.organization_ids[0]
    assert amili("sync", "--org", organization, "--store", "sqlite:///by-url.db").exit_code == 0
    monkeypatch.setenv("AMILI_STORE", "by-environment.db")
    assert amili("sync", "--org", organization).exit_code == 0
    assert rows_in("by-url.db") == rows_in("by-environment.db") == 30


def test_since_and_full_and_concurrency_reach_the_engine(sandbox: Sandbox, amili: Amili) -> None:
    organization = sandbox.organization_ids[0]
    future = amili("sync", "--org", organization, "--since", "2999-01-01")
    assert future.exit_code == 0
    assert rows_in() == 0
    assert amili("sync", "--org", organization, "--since", "2000-01-01T00:00:00+02:00").exit_code == 0
    pages = sandbox.requests.count("batches.list")
    assert amili("sync", "--org", organization, "--full", "--concurrency", "32").exit_code == 0
    assert sandbox.requests.count("batches.list") == pages + 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name organizations with --org, --orgs-file or --creditors, or try --sandbox"),
        (["--org", " "], "--org is empty; it is an organization's id"),
        (["--orgs-file", "nowhere"], "--orgs-file nowhere cannot be read: No such file or directory"),
        (["--orgs-file", "binary"], "--orgs-file binary cannot be read: it is no text"),
        (["--sandbox", "--org", "a"], "--sandbox brings its own organizations"),
        (["--sandbox", "--orgs-file", "binary"], "--sandbox brings its own organizations"),
        (["--sandbox", "--dask", "local:2"], "--sandbox is in this process alone"),
        (["--org", "a", "--since", "yesterday"], "--since yesterday is no day and no moment"),
        (["--org", "a", "--since", "2026-05-17T12:00"], "since must be a day, or a moment with its time zone"),
        (["--org", "a", "--store", "mongodb://localhost/x"], "the store's URL names 'mongodb'"),
        (["--org", "a", "--resource", "payments"], "payments"),
        (["--org", "a", "--concurrency", "0"], "--concurrency"),
        (["--creditors", "none.toml"], "creditors none.toml cannot be read: No such file or directory"),
        (["--creditors", "binary", "--sandbox"], "--sandbox has one client of its own: leave --creditors out"),
        (["--creditors", "binary", "--dask", "local:2"], "--dask takes them from its workers' environment: leave"),
        (["--org", "a", "--max-failures", "0"], "--max-failures"),
    ],
)
def test_a_mistake_is_a_usage_error_that_names_it_and_sends_nothing(
    words: list[str], said: str, sandbox: Sandbox, amili: Amili, folder: Path
) -> None:
    (folder / "binary").write_bytes(b"\xff\xfe")
    result = amili("sync", *words)
    assert result.exit_code == 2
    assert said in one_line(result.stderr)
    assert sandbox.requests.count() == 0


def test_a_failing_organization_is_named_and_the_others_are_synced(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", status=403, organization=sandbox.organization_ids[1], page=2))
    result = amili("sync", *(word for name in sandbox.organization_ids for word in ("--org", name)))
    assert result.exit_code == 1
    assert result.stdout.startswith("Synced 2 organizations ")
    assert "1 failed and will be tried again by the next run:" in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if "403" in line)
    assert line.startswith(f"  {sandbox.organization_ids[1]} batches.list: 403 Forbidden")
    assert ".body" not in line
    sandbox.faults.clear()
    assert amili("sync", *(word for name in sandbox.organization_ids for word in ("--org", name))).exit_code == 0
    assert rows_in() == 90


def test_max_failures_stops_and_says_so(sandbox: Sandbox, amili: Amili) -> None:
    sandbox.faults.add(Fault("batches.list", status=403))
    words = [word for name in sandbox.organization_ids for word in ("--org", name)]
    result = amili("sync", *words, "--max-failures", "1", "--concurrency", "1")
    assert result.exit_code == 1
    assert "Stopped there, as --max-failures says" in result.stderr
    assert sandbox.requests.count("batches.list") < 3


def test_refused_credentials_end_the_run_with_one_line(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMILI_CLIENT_SECRET", "wrong-secret")
    result = amili("sync", *(word for name in sandbox.organization_ids for word in ("--org", name)))
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "the token endpoint refused the credentials" in line
    assert line.endswith("check AMILI_CLIENT_ID and AMILI_CLIENT_SECRET")


@pytest.fixture
def signal_at_the_second_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Send this process a signal when the second page has been written."""
    number: int = request.param
    write = SqlStore.write
    written: list[PageWrite] = []

    async def write_and_interrupt(self: SqlStore, page: PageWrite, /) -> WriteResult | LeaseConflict:
        result = await write(self, page)
        written.append(page)
        if len(written) == 2:
            os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(SqlStore, "write", write_and_interrupt)
    before = signal.getsignal(number)
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)  # as under a shell, whatever pytest itself was started with
    yield number
    signal.signal(number, before)


@pytest.mark.parametrize("signal_at_the_second_page", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], indirect=True)
def test_control_c_and_sigterm_leave_no_half_page_and_no_lease_and_print_the_line_that_resumes(
    sandbox: Sandbox, amili: Amili, signal_at_the_second_page: int
) -> None:
    words = [word for name in sandbox.organization_ids for word in ("--org", name)]
    result = amili("sync", *words)
    assert result.exit_code == 128 + signal_at_the_second_page
    *_, said, line = result.stderr.splitlines()
    word = "Interrupted" if signal_at_the_second_page == signal.SIGINT else "Terminated"
    assert said == f"{word}. This goes on from there:"
    assert shlex.split(line) == ["amili", "sync", *words]
    assert 0 < rows_in() < 90
    assert rows_in() % 10 == 0
    file = sqlite3.connect("amili.db")
    assert file.execute("SELECT count(*) FROM lists WHERE owner IS NOT NULL").fetchall() == [(0,)]
    file.close()
    assert amili(*shlex.split(line)[1:]).exit_code == 0
    assert rows_in() == 90


@pytest.mark.parametrize(
    ("text", "age"),
    [("7d", timedelta(days=7)), ("36h", timedelta(hours=36)), ("5m", timedelta(minutes=5)), ("90s", timedelta(0, 90))],
)
def test_an_age_is_a_number_and_a_unit(text: str, age: timedelta) -> None:
    assert age_of(text, "--refresh") == age


@pytest.mark.parametrize("option", ["--reconcile", "--refresh"])
@pytest.mark.parametrize("text", ["7", "d", "0d", "-1d", "1w", "never ever"])
def test_what_is_no_age_is_refused(option: str, text: str, amili: Amili) -> None:
    result = amili("sync", "--org", "a", f"{option}={text}")

    assert result.exit_code == 2
    assert "is no age" in result.stderr


def test_ages_and_the_part_that_may_be_gone_are_handed_on(
    sandbox: Sandbox, amili: Amili, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_on: list[dict[str, object]] = []

    async def spy(*_: object, **options: object) -> SyncReport:
        handed_on.append(options)
        return SyncReport()

    monkeypatch.setattr("amili_async.sync.sync", spy, raising=False)
    words = ("sync", "--org", sandbox.organization_ids[0])
    assert amili(*words).exit_code == 0
    assert amili(*words, "--reconcile", "never", "--refresh", "24h", "--max-gone", "1").exit_code == 0

    names = ("reconcile", "refresh", "max_gone")
    assert [tuple(options[name] for name in names) for options in handed_on] == [
        (timedelta(days=7), None, 0.05),
        (None, timedelta(hours=24), 1.0),
    ]


def in_a_process(*words: str) -> AbstractContextManager[subprocess.Popen[str]]:
    command = (sys.executable, "-c", "import sys; from amili_async.cli import main; sys.exit(main())", *words)
    return popen(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_full_disk_is_one_line_and_nothing_is_half_written(sandbox: Sandbox, folder: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ExitStack() as running:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limit[1]))
        try:
            process = running.enter_context(in_a_process("sync", "--org", sandbox.organization_ids[0]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        printed, said = process.communicate(timeout=100)
    assert (process.returncode, printed) == (1, "")
    assert said.splitlines()[-1].startswith("Error: the SQLite store: ")
    assert "Traceback" not in said
    assert (folder / "amili.db").exists()


def rows_so_far() -> int:
    try:
        return rows_in()
    except sqlite3.OperationalError:  # the table is not there yet
        return 0


@pytest.mark.kill
@pytest.mark.amili(batches=200)
def test_a_sync_that_was_killed_goes_on_by_the_same_line_from_where_it_stood(sandbox: Sandbox) -> None:
    words = ["sync", *(word for name in sandbox.organization_ids for word in ("--org", name))]
    for pages in (12, 24):
        sandbox.requests.clear()
        before = rows_so_far()
        with sandbox.faults.during(Fault("batches.list", "hang", skip=pages)), in_a_process(*words) as process:
            ends = time.monotonic() + 300
            while rows_so_far() < before + 10 * pages:
                assert time.monotonic() < ends, "what was answered was not written"
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.02)
            process.kill()
    sandbox.requests.clear()
    with in_a_process(*words) as last:
        printed, _ = last.communicate(timeout=300)
    assert last.returncode == 0
    assert printed.startswith("Synced 3 organizations ")
    lists = sandbox.requests.of("batches.list")
    for name in sandbox.organization_ids:
        first = next(request for request in lists if name in request.path)
        assert "PageToken" in first.query, "a list that was begun was begun again"
    assert rows_in() == 3 * 200


def test_a_cluster_is_given_everything_that_was_asked_for(amili: Amili, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    async def sync_on_dask(*arguments: object, **options: object) -> SyncReport:
        calls.append((arguments, options))
        return SyncReport(organizations=2, resources={"cases": Counts(), "batches": Counts()})

    monkeypatch.setattr(amili_async.sync, "sync_on_dask", sync_on_dask, raising=False)
    result = amili(
        "sync", "--dask", "local:2", "--org", "a", "--org", "b", "--resource", "cases", "--resource", "batches",
        "--concurrency", "3", "--full", "--since", "2026-05-17", "--max-failures", "4",
    )  # fmt: skip
    assert result.exit_code == 0
    ((arguments, options),) = calls
    assert arguments == ("local:2", ["a", "b"], Path("amili.db"))
    assert callable(options.pop("on_progress"))
    assert options == {
        "resources": ("cases", "batches"),
        "concurrency": 3,
        "full": True,
        "since": date(2026, 5, 17),
        "reconcile": timedelta(days=7),
        "refresh": None,
        "max_gone": 0.05,
        "max_failures": 4,
    }
    assert "  cases: nothing new, nothing changed, 0 in the store\n" in result.stdout
