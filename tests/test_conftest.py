"""What all tests are given: the shim that lets aioresponses answer on this aiohttp, and examples that are not timed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from aioresponses import aioresponses
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from amili_async import AmiliClient, ServerError
from tests.support.ports import free_port

URL = "http://127.0.0.1/collection/v1/batches/b"
PADDING = b" " * 300_000


def script(scripted: aioresponses, *, status: int = 200, body: bytes) -> None:
    """Answer the next request in this way."""
    scripted.get(URL, status=status, body=body)  # pyright: ignore[reportUnknownMemberType]  # its pattern is half typed


@pytest.mark.parametrize("padding", [b"", PADDING])
async def test_a_scripted_answer_of_any_size_reaches_the_caller(padding: bytes) -> None:
    with aioresponses() as scripted:
        script(scripted, body=b'{"data": {"batchId": "b", "status": "SUCCESS"}}' + padding)
        async with AmiliClient("token", base_url="http://127.0.0.1/collection/v1") as client:
            assert (await client.batches.get_by_id("b")).state == "SUCCESS"


async def test_a_scripted_failure_is_the_error_of_its_status() -> None:
    with aioresponses() as scripted:
        script(scripted, status=501, body=b"<html><title>Nei</title></html>")
        async with AmiliClient("token", base_url="http://127.0.0.1/collection/v1") as client:
            with pytest.raises(ServerError) as failed:
                await client.batches.get_by_id("b")
    assert (failed.value.status, failed.value.detail) == (501, "Nei")


@settings(max_examples=2, database=None, phases=[Phase.generate])
@given(st.integers())
def test_an_example_that_takes_long_is_none_that_fails(number: int) -> None:
    """On a busy machine any example may."""
    del number
    begun = time.perf_counter()
    while time.perf_counter() < begun + 0.21:  # what hypothesis allows by itself is 0.2 s
        pass


def test_examples_that_take_half_a_minute_to_make_are_none_that_fail() -> None:
    """Hypothesis allows no more for the first ten, which a starved machine may take."""
    assert settings.default is not None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


@pytest.mark.parametrize("again", [1, 2])
def test_sigterm_ends_a_run_as_control_c_does(again: int) -> None:
    """So that servers and folders of a run that is stopped go with it, also behind a loop that took the signal."""
    assert again
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that end with their process")
def test_no_two_suites_that_run_at_once_are_given_the_same_ports() -> None:
    program = "from tests.support.ports import free_port\nprint(*{free_port() for _ in range(1000)})"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)  # noqa: S603  # ours
    theirs = {int(port) for port in other.stdout.split()}
    assert len(theirs) > 100
    assert not theirs & {free_port() for _ in range(1000)}
