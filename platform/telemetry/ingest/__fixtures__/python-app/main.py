# An app with Python's OpenTelemetry SDK, unmodified: two spans, a log record and every kind of metric, to where the environment says.
import importlib
import logging
import os

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

transport = "grpc" if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc" else "http"
exporters = f"opentelemetry.exporter.otlp.proto.{transport}"


def exporter(signal, name):
    return getattr(importlib.import_module(f"{exporters}.{signal}"), name)()


logging.basicConfig(level=logging.WARNING)
tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(exporter("trace_exporter", "OTLPSpanExporter")))
loggers = LoggerProvider()
loggers.add_log_record_processor(BatchLogRecordProcessor(exporter("_log_exporter", "OTLPLogExporter")))
meters = MeterProvider(
    metric_readers=[PeriodicExportingMetricReader(exporter("metric_exporter", "OTLPMetricExporter"))],
    views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
)

tracer = tracers.get_tracer("shop")
with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER) as root:
    root.set_attributes({"http.route": "/orders", "tags": ["a", "b"]})
    with tracer.start_as_current_span("SELECT orders", kind=trace.SpanKind.CLIENT) as child:
        child.set_status(trace.Status(trace.StatusCode.ERROR, "lost"))
    logger = logging.getLogger("shop")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    logger.info("order taken")
    meter = meters.get_meter("shop")
    meter.create_counter("requests").add(3, {"route": "/orders"})
    meter.create_gauge("level").set(0.5)
    for name in ("explicit", "exponential"):
        meter.create_histogram(name).record(12)
    print(format(root.get_span_context().trace_id, "032x"))

tracers.shutdown()
loggers.shutdown()
meters.shutdown()
