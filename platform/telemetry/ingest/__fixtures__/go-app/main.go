// An app with Go's OpenTelemetry SDK, unmodified: two spans, a log record and every kind of metric, to where the environment says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	failed := false
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed = true
		}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(must))
	ctx := context.Background()

	spans, err := autoexport.NewSpanExporter(ctx)
	must(err)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	records, err := autoexport.NewLogExporter(ctx)
	must(err)
	loggers := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(records)))
	reader, err := autoexport.NewMetricReader(ctx)
	must(err)
	exponential := sdkmetric.NewView(
		sdkmetric.Instrument{Name: "exponential"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
	)
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(exponential))

	ctx, root := tracers.Tracer("shop").Start(ctx, "GET /orders", trace.WithSpanKind(trace.SpanKindServer))
	root.SetAttributes(attribute.String("http.route", "/orders"), attribute.StringSlice("tags", []string{"a", "b"}))
	_, child := tracers.Tracer("shop").Start(ctx, "SELECT orders", trace.WithSpanKind(trace.SpanKindClient))
	child.RecordError(errors.New("lost"))
	child.SetStatus(codes.Error, "lost")
	child.End()

	record := log.Record{}
	record.SetBody(attribute.StringValue("order taken"))
	record.SetSeverity(log.SeverityInfo)
	loggers.Logger("shop").Emit(ctx, record)

	meter := meters.Meter("shop")
	counter, err := meter.Int64Counter("requests")
	must(err)
	counter.Add(ctx, 3, metric.WithAttributes(attribute.String("route", "/orders")))
	gauge, err := meter.Float64Gauge("level")
	must(err)
	gauge.Record(ctx, 0.5)
	for _, name := range []string{"explicit", "exponential"} {
		histogram, err := meter.Float64Histogram(name)
		must(err)
		histogram.Record(ctx, 12)
	}
	root.End()

	fmt.Println(root.SpanContext().TraceID())
	must(tracers.Shutdown(ctx))
	must(loggers.Shutdown(ctx))
	must(meters.Shutdown(ctx))
	if failed {
		os.Exit(1)
	}
}
