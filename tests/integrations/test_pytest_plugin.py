from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ClientClosedError, RateLimitedError, ServerError
from amili_async import _clock as clock_module
from amili_async.integrations import pytest_plugin
from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from amili_async.sandbox import VirtualClock

QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error")
ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function")


async def numbers(client: AmiliClient, sandbox: Sandbox) -> int:
    return len(await client.batches.list(sandbox.organization_ids[0]).collect())


# In this very run, which is pytest-asyncio's auto mode


async def test_a_client_reads_the_sandbox_in_the_tests_own_loop(
    amili_client: AmiliClient, amili_sandbox: Sandbox
) -> None:
    assert await numbers(amili_client, amili_sandbox) == 25
    assert amili_sandbox.requests.count("batches.list") == 3
    assert amili_sandbox.requests.count("token") == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_is_at_home_in_a_loop_of_many_tests(amili_client: AmiliClient, amili_sandbox: Sandbox) -> None:
    assert await numbers(amili_client, amili_sandbox) == 25


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_is_closed_even_where_two_async_plugins_have_a_hand_in_the_test(
    amili_client: AmiliClient, amili_sandbox: Sandbox
) -> None:
    assert await numbers(amili_client, amili_sandbox) == 25


def test_a_test_without_a_loop_closes_its_client_itself(amili_client: AmiliClient, amili_sandbox: Sandbox) -> None:
    async def main() -> int:
        async with amili_client:
            return await numbers(amili_client, amili_sandbox)

    assert asyncio.run(main()) == 25


def test_code_under_test_finds_the_sandbox_in_its_environment(amili_sandbox: Sandbox) -> None:
    async def code_under_test() -> int:
        async with AmiliClient.from_env() as client:
            return await numbers(client, amili_sandbox)

    assert asyncio.run(code_under_test()) == 25
    assert "127.0.0.1" in os.environ["NO_PROXY"].split(",")


@pytest.mark.amili(organizations=2, batches=7)
class TestOptions:
    async def test_options_come_from_the_class(self, amili_sandbox: Sandbox, amili_client: AmiliClient) -> None:
        assert len(amili_sandbox.organization_ids) == 2
        assert await numbers(amili_client, amili_sandbox) == 7

    @pytest.mark.amili(batches=3, generation="G1", faults=["batches.list:status=500,count=1", "*:latency=1ms"])
    async def test_options_of_the_function_go_before(
        self, amili_sandbox: Sandbox, amili_client: AmiliClient, amili_clock: VirtualClock
    ) -> None:
        assert await numbers(amili_client, amili_sandbox) == 3
        assert len(amili_sandbox.organization_ids) == 2
        assert amili_sandbox.generation == "G1"
        assert amili_sandbox.requests.count("batches.list") == 2
        assert len(amili_clock.slept) == 1


@pytest.mark.amili(faults=["batches.list:status=429,retry_after=30,count=2"])
async def test_waiting_for_the_rate_limit_takes_no_time(
    amili_client: AmiliClient, amili_sandbox: Sandbox, amili_clock: VirtualClock
) -> None:
    assert await numbers(amili_client.with_options(deadline=300), amili_sandbox) == 25
    assert amili_clock.monotonic() >= 60


@pytest.mark.amili(faults=["batches.list:status=503"])
async def test_giving_up_takes_no_time(
    amili_client: AmiliClient, amili_sandbox: Sandbox, amili_clock: VirtualClock
) -> None:
    with pytest.raises(ServerError):
        await numbers(amili_client, amili_sandbox)
    assert amili_sandbox.requests.count("batches.list") == 3
    assert len(amili_clock.slept) == 2


async def test_a_token_expires_when_time_passes(
    amili_client: AmiliClient, amili_sandbox: Sandbox, amili_clock: VirtualClock
) -> None:
    await numbers(amili_client, amili_sandbox)
    amili_clock.advance(3700)
    await numbers(amili_client, amili_sandbox)
    assert amili_sandbox.requests.count("token") == 2
    assert 401 not in [request.status for request in amili_sandbox.requests]


@pytest.mark.amili(finish_after=120)
async def test_waiting_for_a_batch_takes_no_time(
    amili_client: AmiliClient, amili_sandbox: Sandbox, amili_clock: VirtualClock
) -> None:
    organization = amili_sandbox.organization_ids[0]
    accepted = await amili_client.request(
        "POST",
        f"/orgs/{organization}/payments",
        json={"payments": [{"invoiceId": "x", "amount": 1}]},
        type=dict[str, str],
    )
    assert accepted is not None
    batch = await amili_client.batches.wait(accepted["batchId"], organization_id=organization)
    assert batch.state == "FAILED"
    assert amili_clock.monotonic() >= 120


async def test_the_clock_is_the_machines_own_again_after_a_test_with_another() -> None:
    assert isinstance(clock_module.current(), clock_module.SystemClock)


@pytest.mark.amili(faults=["batches.list:status=429,retry_after=200"])
async def test_a_wait_that_is_too_long_is_an_error_at_once(
    amili_sandbox: Sandbox, amili_clock: VirtualClock, amili_client: AmiliClient
) -> None:
    with pytest.raises(RateLimitedError) as caught:
        await numbers(amili_client, amili_sandbox)
    assert caught.value.retry_after == 200
    assert amili_clock.monotonic() == 0


# In runs of their own


def run(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Run pytest on a file in a process of its own; return its exit status and what it said."""
    (folder / "test_inner.py").write_text(textwrap.dedent(source), "utf-8")
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "pytest", *QUIET, *options, "test_inner.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    return done.returncode, done.stdout + done.stderr


def test_strict_mode_and_auto_mode_and_fixtures_of_ones_own(tmp_path: Path) -> None:
    source = """
        import pytest, pytest_asyncio

        class Service:
            def __init__(self, client, organization):
                self.client, self.organization = client, organization

            async def count(self):
                return len(await self.client.batches.list(self.organization).collect())

        @pytest_asyncio.fixture
        async def service(amili_client, amili_sandbox):
            service = Service(amili_client, amili_sandbox.organization_ids[0])
            yield service
            assert await service.count() == 25  # the client is open until the last fixture is done

        @pytest.mark.asyncio
        async def test_of_the_user(service, amili_sandbox):
            assert await service.count() == 25
            assert amili_sandbox.requests.overlapping() == 1

        def test_of_the_users_own_loop(amili_client, amili_sandbox):
            import asyncio

            async def main():
                async with amili_client:
                    return await Service(amili_client, amili_sandbox.organization_ids[0]).count()

            assert asyncio.run(main()) == 25
    """
    for mode in ("strict", "auto"):
        status, said = run(tmp_path, source, *ASYNCIO, "-o", f"asyncio_mode={mode}")
        assert status == 0, said
        assert "2 passed" in said


def test_a_run_that_does_not_use_it_imports_neither_aiohttp_nor_msgspec(tmp_path: Path) -> None:
    status, said = run(
        tmp_path,
        """
        import sys

        def test_of_someone_elses():
            assert "amili_async.integrations.pytest_plugin" in sys.modules
            ours = {name for name in sys.modules if name.startswith("amili_async")}
            assert not {"aiohttp", "msgspec", "backoff"} & set(sys.modules), sys.modules
            assert not {name for name in ours if "sandbox" in name or "client" in name}
        """,
        *ASYNCIO,
        "-p",
        "no:aiohttp",
    )
    assert status == 0, said


def test_the_fixtures_and_the_marker_are_listed(tmp_path: Path) -> None:
    status, said = run(tmp_path, "", *ASYNCIO, "--fixtures", "--markers", "--strict-markers")
    assert status == 0, said
    assert "@pytest.mark.amili(**options)" in said
    status, said = run(tmp_path, "", *ASYNCIO, "--fixtures")
    for name in ("amili_sandbox", "amili_client", "amili_clock"):
        assert f"\n{name} " in said


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        (pytest.mark.amili(3), "takes names and values, such as organizations=20"),
        (pytest.mark.amili(colour="red"), "unexpected keyword argument 'colour'"),
        (pytest.mark.amili(generation="G4"), "generation must be one of G1, G2, G3"),
        (pytest.mark.amili(faults=["token"]), "write operation:what"),
    ],
)
def test_a_marker_that_cannot_be_is_a_usage_error(
    request: pytest.FixtureRequest, marker: pytest.MarkDecorator, complaint: str
) -> None:
    request.node.add_marker(marker)
    with pytest.raises(pytest.UsageError, match=complaint):
        request.getfixturevalue("amili_sandbox")


def test_anyio_runs_the_client_in_its_own_loop(tmp_path: Path) -> None:
    (tmp_path / "test_of_anyio.py").write_text(
        textwrap.dedent("""
            import pytest

            pytestmark = pytest.mark.anyio

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.fixture
            async def count(amili_client, amili_sandbox):
                async def count():
                    return len(await amili_client.batches.list(amili_sandbox.organization_ids[0]).collect())
                yield count
                assert await count() == 25

            async def test_of_the_user(count):
                assert await count() == 25
        """),
        "utf-8",
    )
    # In this process, so that what only anyio runs is seen to run.
    options = [
        "-p",
        "no:asyncio",
        "-p",
        "no:faulthandler",
        "-p",
        "no:xdist",
        "--rootdir",
        str(tmp_path),
        "-c",
        "/dev/null",
    ]
    with redirect_stdout(StringIO()) as said:
        status = pytest.main([*QUIET, *options, "-s", str(tmp_path)])
    assert status == 0, said.getvalue()


async def test_a_client_that_was_closed_says_so(amili_client: AmiliClient, amili_sandbox: Sandbox) -> None:
    await amili_client.aclose()
    with pytest.raises(ClientClosedError):
        await numbers(amili_client, amili_sandbox)


NEVER = """
import pytest

@pytest.mark.amili(faults=["batches.list:status=500"]{more})
def test_nothing_is_asked(amili_sandbox):
    with amili_sandbox.faults.during("token:reset", "cases.list:html,probability=1%"):
        pass
"""


def test_a_test_fails_whose_fault_never_struck_and_says_which(tmp_path: Path) -> None:
    status, said = run(tmp_path, NEVER.format(more=""), *ASYNCIO)
    assert status == 1, said
    assert "1 failed" in said
    assert "never struck: token:reset; batches.list:status=500 (the requests were <RequestLog empty>" in said


def test_a_test_may_say_that_its_faults_need_not_strike(tmp_path: Path) -> None:
    status, said = run(tmp_path, NEVER.format(more=", allow_unstruck=True"), *ASYNCIO)
    assert (status, "1 passed" in said) == (0, True), said


def test_a_run_may_say_that_faults_need_not_strike(tmp_path: Path) -> None:
    status, said = run(tmp_path, NEVER.format(more=""), *ASYNCIO, "-o", "amili_allow_unstruck_faults=true")
    assert (status, "1 passed" in said) == (0, True), said


def test_a_test_that_fails_of_itself_says_nothing_of_faults(tmp_path: Path) -> None:
    source = NEVER.format(more="").replace("        pass", "        raise LookupError('its own')")
    status, said = run(tmp_path, source, *ASYNCIO)
    assert status == 1
    assert "its own" in said
    assert "never struck" not in said


@pytest.mark.amili(faults=["batches.list:status=503,count=1"])
async def test_a_fault_that_struck_is_no_complaint(amili_sandbox: Sandbox, amili_client: AmiliClient) -> None:
    await amili_client.batches.list(amili_sandbox.organization_ids[0]).first()
    assert amili_sandbox.faults.unstruck == []


class Item:
    """A test that has passed, as far as the plugin looks at it."""

    def __init__(self, sandbox: Sandbox | None, marks: list[dict[str, object]], *, allowed: bool = False) -> None:
        self.funcargs = {} if sandbox is None else {"amili_sandbox": sandbox}
        self.marks = [SimpleNamespace(kwargs=mark) for mark in marks]
        self.allowed = allowed
        self.config = self

    def getini(self, _name: str) -> bool:
        return self.allowed

    def iter_markers(self, _name: str) -> list[SimpleNamespace]:
        return self.marks

    def end(self) -> object:
        """Let the test end, with a result."""
        item: Any = self
        hook: Any = pytest_plugin.pytest_runtest_call(item)
        next(hook)
        with pytest.raises(StopIteration) as ended:
            hook.send("result")
        return ended.value.value


def test_what_is_said_of_faults_when_a_test_has_passed() -> None:
    sandbox = Sandbox(organizations=1, batches=0)
    assert Item(None, []).end() == Item(sandbox, []).end() == "result"
    sandbox.faults.add("token:reset")
    with pytest.raises(pytest.fail.Exception, match="never struck: token:reset"):
        Item(sandbox, [{}]).end()
    assert Item(sandbox, [{"allow_unstruck": True}]).end() == "result"
    assert Item(sandbox, [], allowed=True).end() == "result"
