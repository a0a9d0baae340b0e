"""A hook that turns calls into OpenTelemetry spans and metrics: `OpenTelemetryHook` (extra ``otel``).

Each call is an internal span named after its operation (``amili batches.list``), with a child of kind client for each
request that went out (``GET /orgs/{organization_id}/batches``): the HTTP semantic conventions (1.44) want one client
span an attempt, and none around them. Retries are events of the call's span. Names and attributes are made from route
templates, so their number is small and no id, query value or page token is among them; ``url.full`` is left out for
that reason, although the conventions ask for it.

The metrics:

================================  =========  ===================================================================
``http.client.request.duration``  histogram  seconds of one request, by method, server, template, status, error
``amili.client.call.duration``    histogram  seconds of one call with its waits and retries, by operation, error
``amili.client.gate.wait``        histogram  seconds that a call was held back by a 429, by operation
``amili.client.gate.closures``    counter    429s that closed the gate, by operation
``amili.client.retries``          counter    repeated requests, by operation and reason
``amili.client.token.requests``   counter    tokens ``renewed``, ``failed`` and ``rejected``
``amili.client.drift``            counter    answers that differ from the documentation, by operation and kind
``amili.client.quarantined``      counter    rows that could not be read, by operation
================================  =========  ===================================================================
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, TracerProvider
    from opentelemetry.util.types import AttributeValue

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

# The semantic conventions' Python package is no dependency of the API package, so their names are spelled out here.
_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
_KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
# The boundaries that the conventions advise for http.client.request.duration.
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# A call may wait for a gate and for its retries, up to its deadline of a minute and more.
_CALL_SECONDS = (*_REQUEST_SECONDS, 15.0, 30.0, 60.0, 120.0)
_ERROR = Status(StatusCode.ERROR)


class _Headers(Setter[dict[str, str]]):
    """Puts what a propagator says into a plain dictionary of headers."""

    def set(self, carrier: dict[str, str], key: str, value: str) -> None:
        carrier[key] = value


class OpenTelemetryHook:
    """Traces and measures every call of a client: ``AmiliClient(..., hooks=[OpenTelemetryHook()])``.

    Without arguments it uses the providers that the application has installed. One hook may serve several clients. Only
    ``traceparent`` and ``tracestate`` are sent to Amili; the application's baggage stays at home unless another
    ``propagator`` is given. They name the call's span, on each of its requests.

    Amili's answers are traced here in full; an instrumentation of aiohttp beside it would record each request a second
    time, with its whole URL.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        release = version("amili-async")
        self._tracer = trace.get_tracer("amili_async", release, tracer_provider, schema_url=_SCHEMA_URL)
        self._propagator = propagator or TraceContextTextMapPropagator()
        self._open: dict[int, tuple[Span, dict[str, AttributeValue]]] = {}
        meter = metrics.get_meter("amili_async", release, meter_provider, schema_url=_SCHEMA_URL)
        self._request_duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_REQUEST_SECONDS,
        )
        self._call_duration = meter.create_histogram(
            "amili.client.call.duration",
            unit="s",
            description="Duration of calls, with their waits and retries.",
            explicit_bucket_boundaries_advisory=_CALL_SECONDS,
        )
        self._gate_wait = meter.create_histogram(
            "amili.client.gate.wait",
            unit="s",
            description="Time that calls were held back by a 429.",
            explicit_bucket_boundaries_advisory=_CALL_SECONDS,
        )
        self._gate_closures = meter.create_counter(
            "amili.client.gate.closures", unit="{closure}", description="429s that held every call of a client back."
        )
        self._retries = meter.create_counter(
            "amili.client.retries", unit="{retry}", description="Requests that were repeated."
        )
        self._token_requests = meter.create_counter(
            "amili.client.token.requests", unit="{request}", description="Tokens renewed, refused or rejected."
        )
        self._drift = meter.create_counter(
            "amili.client.drift", unit="{spot}", description="Spots where answers differ from the documentation."
        )
        self._quarantined = meter.create_counter(
            "amili.client.quarantined", unit="{row}", description="Rows that could not be read."
        )

    def on_call_start(self, record: CallStarted, /) -> dict[str, str]:
        """Begin the call's span under the current one, and return the headers that carry it to Amili."""
        known = record.method in _KNOWN_METHODS
        request: dict[str, AttributeValue] = {
            "http.request.method": record.method if known else "_OTHER",
            "server.address": record.server_address,
            "server.port": record.server_port,
            "url.template": record.route,
        }
        span = self._tracer.start_span(
            f"amili {record.operation}",
            attributes={
                "amili.operation": record.operation,
                "server.address": record.server_address,
                "server.port": record.server_port,
            },
        )
        self._open[record.call] = (span, request)
        headers: dict[str, str] = {}
        self._propagator.inject(headers, trace.set_span_in_context(span), _Headers())
        return headers

    def on_attempt(self, record: AttemptEnded, /) -> None:
        """Record one request: a client span that ends where the answer did, and its duration."""
        found = self._open.get(record.call)
        if found is None:
            return
        span, request = found
        attributes = dict(request)
        if record.status is not None:
            attributes["http.response.status_code"] = record.status
        error = _error_type(record.status, record.error)
        if error is not None:
            attributes["error.type"] = error
        self._request_duration.record(record.seconds, attributes, context=trace.set_span_in_context(span))
        if span.is_recording():
            self._attempt_span(span, attributes, record, failed=error is not None)

    def _attempt_span(
        self, parent: Span, measured: Mapping[str, AttributeValue], record: AttemptEnded, *, failed: bool
    ) -> None:
        # A copy: the SDK may keep what it was given to measure.
        attributes = {
            **measured,
            "http.request.body.size": record.sent_bytes,
            # Not http.response.body.size: that one is the compressed size, and this the unpacked one.
            "amili.received_bytes": record.received_bytes,
        }
        method = attributes["http.request.method"]
        if method == "_OTHER":
            attributes["http.request.method_original"] = record.method
        if record.attempt > 1:
            attributes["http.request.resend_count"] = record.attempt - 1
        if record.request_id is not None:
            attributes["amili.request_id"] = record.request_id
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"{'HTTP' if method == '_OTHER' else method} {record.route}",
            trace.set_span_in_context(parent),
            SpanKind.CLIENT,
            attributes,
            start_time=ended - int(record.seconds * 1e9),
        )
        if failed:
            span.set_status(_ERROR)
        span.end(ended)

    def on_retry(self, record: RetryPlanned, /) -> None:
        """Note on the call's span that its request will be repeated, and count it."""
        self._retries.add(1, {"amili.operation": record.operation, "amili.retry.reason": record.reason})
        found = self._open.get(record.call)
        if found is not None:
            found[0].add_event(
                "retry",
                {
                    "amili.retry.attempt": record.attempt,
                    "amili.retry.wait": record.wait,
                    "amili.retry.reason": record.reason,
                },
            )

    def on_gate(self, record: GateClosed, /) -> None:
        """Count a 429 that holds every call of the client back."""
        self._gate_closures.add(1, {"amili.operation": record.operation})

    def on_token(self, record: TokenRequested, /) -> None:
        """Count a token that was renewed, refused or rejected."""
        self._token_requests.add(1, {"amili.token.outcome": record.outcome})

    def on_call(self, record: CallEnded, /) -> None:
        """End the call's span, and record how long it took and waited."""
        attributes: dict[str, AttributeValue] = {"amili.operation": record.operation}
        if record.error is not None:
            attributes["error.type"] = record.error
        span, _ = self._open.pop(record.call, (trace.INVALID_SPAN, None))
        within = trace.set_span_in_context(span)
        self._call_duration.record(record.seconds, attributes, context=within)
        if record.gate_seconds > 0:
            self._gate_wait.record(record.gate_seconds, {"amili.operation": record.operation}, context=within)
        span.set_attributes(
            {
                "amili.attempts": record.attempts,
                "amili.gate_seconds": record.gate_seconds,
                "amili.slot_seconds": record.slot_seconds,
                "amili.token_seconds": record.token_seconds,
                "amili.pause_seconds": record.pause_seconds,
            }
        )
        if record.error is not None:
            span.set_attribute("error.type", record.error)
            span.set_status(_ERROR)
        span.end()

    def on_drift(self, record: Drift, /) -> None:
        """Count a spot where answers differ from the documentation."""
        self._drift.add(1, {"amili.operation": record.operation, "amili.drift.kind": record.kind})

    def on_quarantine(self, record: QuarantinedRow, /) -> None:
        """Count a row that could not be read."""
        self._quarantined.add(1, {"amili.operation": record.operation})


def _error_type(status: int | None, error: str | None) -> str | None:
    """Return what the conventions want: a status that is no success, else the failure's class."""
    return str(status) if status is not None and status >= 400 else error  # noqa: PLR2004  # HTTP's own bound
