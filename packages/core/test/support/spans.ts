/** OpenTelemetry's SDK with the spans in memory, and spans as tests look at them. */
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

export interface Recorded {
  /** Those that have ended, in order of their end. */
  all(): Promise<ReadableSpan[]>;
  /** Of kind PRODUCER. */
  sent(): Promise<ReadableSpan[]>;
  /** Of kind CONSUMER: attempts. */
  attempts(): Promise<ReadableSpan[]>;
  reset(): void;
  stop(): Promise<void>;
}

/** From now on spans are made, by the global provider. */
export function recordSpans(sampler?: Sampler): Recorded {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    ...(sampler !== undefined && { sampler }),
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  trace.setGlobalTracerProvider(provider);
  const all = async () => {
    await provider.forceFlush();
    return exporter.getFinishedSpans();
  };
  const ofKind = async (kind: SpanKind) => (await all()).filter((span) => span.kind === kind);
  return {
    all,
    sent: () => ofKind(SpanKind.PRODUCER),
    attempts: () => ofKind(SpanKind.CONSUMER),
    reset: () => exporter.reset(),
    async stop() {
      await provider.shutdown();
      for (const api of [context, propagation, trace]) api.disable();
    },
  };
}

/** What each attempt is linked to, by the names of their tasks: `'c ← a, b'`; sorted. */
export function linksOf(spans: readonly ReadableSpan[]): string[] {
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, span]));
  return spans
    .filter((span) => span.kind === SpanKind.CONSUMER)
    .map((span) => {
      const names = span.links.map(({ context: { spanId } }) => nameOf(byId.get(spanId)));
      return names.length === 0 ? nameOf(span) : `${nameOf(span)} ← ${names.join(', ')}`;
    })
    .sort();
}

/** The name of a span's task; of further attempts, with their number. */
function nameOf(span: ReadableSpan | undefined): string {
  if (span === undefined) return '?';
  const attempt = span.attributes['umbel.attempt'];
  const task = String(span.attributes['umbel.task'] ?? span.name);
  return attempt === undefined || attempt === 1 ? task : `${task} ${attempt}`;
}
