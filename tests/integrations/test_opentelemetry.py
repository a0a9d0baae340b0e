"""The OpenTelemetry hook, by records alone and through a client against the sandbox."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult, StaticSampler
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from amili_async import AmiliClient, APIError, RetryPolicy
from amili_async.events import (
    AttemptEnded,
    CallEnded,
    CallStarted,
    Drift,
    GateClosed,
    QuarantinedRow,
    RetryPlanned,
    TokenRequested,
)
from amili_async.integrations.opentelemetry import OpenTelemetryHook
from amili_async.sandbox import Fault, Sandbox
from tests.support.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.factories import ClientFactory

ROUTE = "/orgs/{organization_id}/batches"


class Telemetry:
    """A hook with in-memory exporters behind it."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])
        self.hook = OpenTelemetryHook(tracer_provider=self.tracers, meter_provider=self.meters)

    def points(self, name: str) -> list[HistogramDataPoint | NumberDataPoint]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint | NumberDataPoint)
        ]

    def counted(self, name: str) -> list[tuple[dict[str, object], float]]:
        return [
            (dict(point.attributes or {}), point.value)
            for point in self.points(name)
            if isinstance(point, NumberDataPoint)
        ]

    def measured(self, name: str) -> list[tuple[dict[str, object], int, float]]:
        return [
            (dict(point.attributes or {}), point.count, point.sum)
            for point in self.points(name)
            if isinstance(point, HistogramDataPoint)
        ]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracers.shutdown()
    telemetry.meters.shutdown()


def started(call: int = 1, *, method: str = "GET", operation: str = "batches.list") -> CallStarted:
    return CallStarted(
        call=call, operation=operation, method=method, route=ROUTE, server_address="api.amili.no", server_port=443
    )


def attempted(
    call: int = 1,
    attempt: int = 1,
    *,
    method: str = "GET",
    status: int | None = 200,
    error: str | None = None,
    seconds: float = 0.25,
    request_id: str | None = None,
) -> AttemptEnded:
    return AttemptEnded(
        call=call,
        operation="batches.list",
        method=method,
        route=ROUTE,
        attempt=attempt,
        status=status,
        error=error,
        seconds=seconds,
        sent_bytes=10,
        received_bytes=65_000,
        request_id=request_id,
    )


def ended(call: int = 1, *, attempts: int = 1, error: str | None = None, gate_seconds: float = 0.0) -> CallEnded:
    return CallEnded(
        call=call,
        operation="batches.list",
        method="GET",
        route=ROUTE,
        attempts=attempts,
        error=error,
        seconds=0.5,
        gate_seconds=gate_seconds,
        slot_seconds=0.01,
        token_seconds=0.02,
        pause_seconds=0.03,
    )


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_a_call_is_an_internal_span_with_one_client_span_per_request(telemetry: Telemetry) -> None:
    hook = telemetry.hook

    hook.on_call_start(started())
    hook.on_attempt(attempted(request_id="r-1"))
    hook.on_call(ended())

    attempt, call = telemetry.spans.get_finished_spans()
    assert (attempt.name, attempt.kind) == (f"GET {ROUTE}", SpanKind.CLIENT)
    assert (call.name, call.kind, call.parent) == ("amili batches.list", SpanKind.INTERNAL, None)
    assert attempt.parent is not None
    assert call.context is not None
    assert attempt.parent.span_id == call.context.span_id
    assert attributes(attempt) == {
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        "http.request.body.size": 10,
        server_attributes.SERVER_ADDRESS: "api.amili.no",
        server_attributes.SERVER_PORT: 443,
        "url.template": ROUTE,
        "amili.request_id": "r-1",
        "amili.received_bytes": 65_000,
    }
    assert attributes(call) == {
        "amili.operation": "batches.list",
        server_attributes.SERVER_ADDRESS: "api.amili.no",
        server_attributes.SERVER_PORT: 443,
        "amili.attempts": 1,
        "amili.gate_seconds": 0.0,
        "amili.slot_seconds": 0.01,
        "amili.token_seconds": 0.02,
        "amili.pause_seconds": 0.03,
    }
    assert {attempt.status.status_code, call.status.status_code} == {StatusCode.UNSET}


def test_the_span_of_a_request_lasts_as_long_as_the_request_did(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_attempt(attempted(seconds=0.25))

    (attempt,) = telemetry.spans.get_finished_spans()

    assert attempt.start_time is not None
    assert attempt.end_time is not None
    assert attempt.end_time - attempt.start_time == 250_000_000


def test_a_repeated_request_counts_its_resends_and_is_an_event_of_the_call(telemetry: Telemetry) -> None:
    hook = telemetry.hook

    hook.on_call_start(started())
    hook.on_attempt(attempted(status=503))
    hook.on_retry(
        RetryPlanned(call=1, operation="batches.list", method="GET", route=ROUTE, attempt=1, wait=1.5, reason="503")
    )
    hook.on_attempt(attempted(attempt=2))
    hook.on_call(ended(attempts=2))

    first, second, call = telemetry.spans.get_finished_spans()
    assert http_attributes.HTTP_REQUEST_RESEND_COUNT not in attributes(first)
    assert attributes(second)[http_attributes.HTTP_REQUEST_RESEND_COUNT] == 1
    assert [(event.name, dict(event.attributes or {})) for event in call.events] == [
        ("retry", {"amili.retry.attempt": 1, "amili.retry.wait": 1.5, "amili.retry.reason": "503"})
    ]
    assert call.status.status_code is StatusCode.UNSET
    assert telemetry.counted("amili.client.retries") == [
        ({"amili.operation": "batches.list", "amili.retry.reason": "503"}, 1)
    ]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, None, "404"),
        (503, None, "503"),
        (404, "NotFoundError", "404"),
        (200, "DecodeError", "DecodeError"),
        (None, "TransportError", "TransportError"),
        (200, None, None),
        (302, None, None),
    ],
)
def test_what_is_no_success_is_an_error_of_the_request(
    telemetry: Telemetry, status: int | None, error: str | None, kind: str | None
) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_attempt(attempted(status=status, error=error))

    (attempt,) = telemetry.spans.get_finished_spans()

    assert attributes(attempt).get(error_attributes.ERROR_TYPE) == kind
    assert attempt.status.status_code is (StatusCode.UNSET if kind is None else StatusCode.ERROR)
    assert attempt.status.description is None


def test_a_failed_call_has_its_errors_class_and_no_message(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_call(ended(error="DeadlineExceededError"))

    (call,) = telemetry.spans.get_finished_spans()

    assert attributes(call)[error_attributes.ERROR_TYPE] == "DeadlineExceededError"
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, None)
    assert call.events == ()


def test_an_unknown_method_is_other_and_kept_beside(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started(method="PURGE"))
    telemetry.hook.on_attempt(attempted(method="PURGE"))

    (attempt,) = telemetry.spans.get_finished_spans()

    assert attempt.name == f"HTTP {ROUTE}"
    assert attributes(attempt)[http_attributes.HTTP_REQUEST_METHOD] == "_OTHER"
    assert attributes(attempt)[http_attributes.HTTP_REQUEST_METHOD_ORIGINAL] == "PURGE"
    ((measured, _, _),) = telemetry.measured(HTTP_CLIENT_REQUEST_DURATION)
    assert http_attributes.HTTP_REQUEST_METHOD_ORIGINAL not in measured


def test_the_call_goes_under_the_current_span_and_its_headers_name_it(telemetry: Telemetry) -> None:
    with telemetry.tracers.get_tracer("app").start_as_current_span("request") as outer:
        headers = telemetry.hook.on_call_start(started())
    telemetry.hook.on_call(ended())

    (call,) = telemetry.named("amili batches.list")
    assert call.context is not None
    assert call.parent is not None
    assert call.parent.span_id == outer.get_span_context().span_id
    assert set(headers) == {"traceparent"}
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, int(trace_id, 16), int(span_id, 16)) == ("00", call.context.trace_id, call.context.span_id)
    assert int(flags, 16) & 1


def test_baggage_stays_at_home_unless_a_propagator_says_otherwise(telemetry: Telemetry) -> None:
    token = context.attach(baggage.set_baggage("customer", "Kari Nordmann"))
    try:
        ours = telemetry.hook.on_call_start(started())
        theirs = OpenTelemetryHook(propagator=W3CBaggagePropagator()).on_call_start(started())
    finally:
        context.detach(token)

    assert set(ours) == {"traceparent"}
    assert set(theirs) == {"baggage"}


def test_durations_are_measured_with_the_advised_boundaries(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_attempt(attempted(status=503, seconds=0.25))
    telemetry.hook.on_call(ended(error="ServerError", gate_seconds=2.0))

    assert telemetry.measured(HTTP_CLIENT_REQUEST_DURATION) == [
        (
            {
                "http.request.method": "GET",
                "http.response.status_code": 503,
                "server.address": "api.amili.no",
                "server.port": 443,
                "url.template": ROUTE,
                "error.type": "503",
            },
            1,
            0.25,
        )
    ]
    assert telemetry.measured("amili.client.call.duration") == [
        ({"amili.operation": "batches.list", "error.type": "ServerError"}, 1, 0.5)
    ]
    assert telemetry.measured("amili.client.gate.wait") == [({"amili.operation": "batches.list"}, 1, 2.0)]
    (duration,) = telemetry.points(HTTP_CLIENT_REQUEST_DURATION)
    assert isinstance(duration, HistogramDataPoint)
    assert tuple(duration.explicit_bounds) == (
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    )  # fmt: skip


def test_a_call_that_met_no_gate_records_no_wait(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_call(ended())

    assert telemetry.measured("amili.client.gate.wait") == []


def test_what_belongs_to_no_single_call_is_counted(telemetry: Telemetry) -> None:
    hook = telemetry.hook
    hook.on_gate(GateClosed(operation="payments.create", seconds=3))
    hook.on_token(TokenRequested(outcome="renewed", seconds=0.1, status=200, lifetime=3600))
    hook.on_token(TokenRequested(outcome="rejected"))
    hook.on_drift(Drift(operation="batches.get", kind="value", path="$.data.status", found="PARKED"))
    hook.on_quarantine(QuarantinedRow(operation="batches.list", index=3, path="$.createdAt", reason="date", raw=b"{}"))

    assert telemetry.counted("amili.client.gate.closures") == [({"amili.operation": "payments.create"}, 1)]
    assert telemetry.counted("amili.client.token.requests") == [
        ({"amili.token.outcome": "renewed"}, 1),
        ({"amili.token.outcome": "rejected"}, 1),
    ]
    assert telemetry.counted("amili.client.drift") == [
        ({"amili.operation": "batches.get", "amili.drift.kind": "value"}, 1)
    ]
    assert telemetry.counted("amili.client.quarantined") == [({"amili.operation": "batches.list"}, 1)]


def test_unsampled_calls_are_measured_and_leave_no_span() -> None:
    class Off(StaticSampler):
        asked = 0

        def should_sample(self, *details: Any, **more: Any) -> SamplingResult:
            self.asked += 1
            return super().should_sample(*details, **more)

    spans, reader, sampler = InMemorySpanExporter(), InMemoryMetricReader(), Off(Decision.DROP)
    tracers = TracerProvider(sampler=sampler)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    hook = OpenTelemetryHook(tracer_provider=tracers, meter_provider=MeterProvider([reader]))

    headers = hook.on_call_start(started())
    hook.on_attempt(attempted())
    hook.on_call(ended())

    assert int(headers["traceparent"][-2:], 16) & 1 == 0
    assert spans.get_finished_spans() == ()
    # A request of a call that is not sampled costs no span at all.
    assert sampler.asked == 1
    assert reader.get_metrics_data() is not None


def test_records_of_a_call_that_was_never_begun_are_harmless(telemetry: Telemetry) -> None:
    retry = RetryPlanned(call=7, operation="batches.list", method="GET", route=ROUTE, attempt=1, wait=1, reason="503")

    telemetry.hook.on_attempt(attempted(7))
    telemetry.hook.on_retry(retry)
    telemetry.hook.on_call(ended(7))

    assert telemetry.spans.get_finished_spans() == ()


def test_a_hook_keeps_nothing_of_calls_that_have_ended() -> None:
    alive: weakref.WeakSet[Span] = weakref.WeakSet()

    class Watch(SpanProcessor):
        def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:  # noqa: ARG002  # the SDK passes it by name
            alive.add(span)

    tracers = TracerProvider()
    tracers.add_span_processor(Watch())
    hook = OpenTelemetryHook(tracer_provider=tracers)
    for call in range(10):
        hook.on_call_start(started(call))
        hook.on_call(ended(call))
    hook.on_call_start(started(10))
    gc.collect()

    assert [span.name for span in alive] == ["amili batches.list"]


def test_without_providers_the_applications_own_are_used() -> None:
    hook = OpenTelemetryHook()

    assert hook.on_call_start(started()) == {}
    hook.on_call(ended())
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_the_schema_is_one_that_the_conventions_have_published(telemetry: Telemetry) -> None:
    telemetry.hook.on_call_start(started())
    telemetry.hook.on_call(ended())

    (call,) = telemetry.spans.get_finished_spans()

    assert call.instrumentation_scope is not None
    assert call.instrumentation_scope.name == "amili_async"
    assert call.instrumentation_scope.schema_url in {schema.value for schema in Schemas}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", call.instrumentation_scope.version or "")


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 2, "batches": 30, "page_size": 10}


@pytest.fixture
def amili(make_client: ClientFactory, telemetry: Telemetry) -> AmiliClient:
    return make_client(retry=RetryPolicy(max_wait=0.001), hooks=[telemetry.hook])


async def test_a_walk_is_a_call_a_page_under_the_callers_span_with_its_retry(
    sandbox: Sandbox, amili: AmiliClient, telemetry: Telemetry
) -> None:
    sandbox.faults.add(Fault("batches.list", status=503, page=2, count=1))

    with telemetry.tracers.get_tracer("app").start_as_current_span("request") as outer:
        await amili.batches.list(sandbox.organization_ids[0]).collect()

    calls, requests = telemetry.named("amili batches.list"), telemetry.named(f"GET {ROUTE}")
    assert [len(calls), len(requests)] == [3, 4]
    assert {call.parent.span_id for call in calls if call.parent} == {outer.get_span_context().span_id}
    assert [event.name for call in calls for event in call.events] == ["retry"]
    assert sorted(str(attributes(request)["http.response.status_code"]) for request in requests) == [
        "200", "200", "200", "503",
    ]  # fmt: skip
    assert {attributes(request)["server.port"] for request in requests} == {sandbox.port}
    assert telemetry.counted("amili.client.token.requests") == [({"amili.token.outcome": "renewed"}, 1)]


async def test_amili_is_told_which_span_each_request_belongs_to(
    sandbox: Sandbox, amili: AmiliClient, telemetry: Telemetry
) -> None:
    sandbox.faults.add(Fault("batches.list", status=503, count=1))

    await amili.batches.list(sandbox.organization_ids[0]).first()

    (call,) = telemetry.named("amili batches.list")
    assert call.context is not None
    told = [request.headers["traceparent"].split("-")[1:3] for request in sandbox.requests.of("batches.list")]
    assert told == [[f"{call.context.trace_id:032x}", f"{call.context.span_id:016x}"]] * 2


async def test_no_span_and_no_metric_shows_an_id_a_query_value_or_a_secret(
    sandbox: Sandbox, amili: AmiliClient, telemetry: Telemetry
) -> None:
    organization = sandbox.organization_ids[0]
    rows = await amili.batches.list(organization).collect()
    await amili.batches.get(organization, rows[0].batch_id)
    with pytest.raises(APIError):
        await amili.request("GET", f"/orgs/{organization}/batches/none-such", query={"Name": "Nordmann"})

    metrics = telemetry.reader.get_metrics_data()
    assert metrics is not None
    text = metrics.to_json() + "".join(span.to_json() for span in telemetry.spans.get_finished_spans())
    page_tokens = [request.query["PageToken"] for request in sandbox.requests if "PageToken" in request.query]
    bearers = [request.headers["authorization"].split()[1] for request in sandbox.requests.of("batches.*")]
    assert len(page_tokens) == 2
    for private in (
        organization,
        rows[0].batch_id,
        "Nordmann",
        "none-such",
        *sandbox.credentials,
        *page_tokens,
        *bearers,
    ):
        assert private not in text


async def test_a_cancelled_call_ends_its_spans(sandbox: Sandbox, amili: AmiliClient, telemetry: Telemetry) -> None:
    sandbox.faults.add(Fault("batches.get", "hang"))
    call = asyncio.create_task(amili.batches.get(sandbox.organization_ids[0], "any"))
    await until(lambda: sandbox.requests.count("batches.get"))

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    (span,) = telemetry.named("amili batches.get")
    assert attributes(span)[error_attributes.ERROR_TYPE] == "CancelledError"


async def test_one_hook_keeps_the_calls_of_several_clients_apart(
    sandbox: Sandbox, make_client: ClientFactory, telemetry: Telemetry
) -> None:
    one, other = (make_client(hooks=[telemetry.hook]) for _ in range(2))
    await asyncio.gather(
        one.batches.list(sandbox.organization_ids[0]).collect(),
        other.batches.list(sandbox.organization_ids[1]).collect(),
    )

    calls, requests = telemetry.named("amili batches.list"), telemetry.named(f"GET {ROUTE}")
    assert sorted(request.parent.span_id for request in requests if request.parent) == sorted(
        call.context.span_id for call in calls if call.context
    )
    assert len(calls) == 6
