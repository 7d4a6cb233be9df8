/** Middleware that makes spans: of what sends, and of every attempt, linked to the steps whose results it takes. */

import type { Span, Tracer } from '@opentelemetry/api';
import { InvalidOptionError } from '../errors.js';
import { performance } from '../real-timers.js';
import { TRACING, type TracedAttempt, type Tracing } from '../running/tracing.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import type { Middleware } from '../tasks/middleware.js';
import { nameOf } from '../wire/error-fields.js';
import { toError } from '../wire/error-record.js';
import { type OpenTelemetry, openTelemetry } from './api.js';
import { ATTRIBUTE, attemptAttributes, sendAttributes, sentAttributes } from './attributes.js';
import { senderContext } from './sender.js';
import { spanContextOf, traceparentOf } from './traceparent.js';

export interface TracingOptions {
  /** Makes the spans. Default: that of the global provider, as soon as an SDK has set one. */
  tracer?: Tracer | undefined;
}

const OPTIONS: OptionNames<TracingOptions> = { tracer: true };

/**
 * Traces an app: `createApp({ middleware: [tracing()] })`, in the processes that send and in those of the workers.
 *
 * A sending is a span of kind PRODUCER below the active one; its context goes along in the headers, by the app's
 * propagator. Every attempt at the call, or at a step of the composition, is a span of kind CONSUMER below it, and active
 * while the handler runs. A step's span has links to those of the steps whose results it takes, 128 at most.
 *
 * Without an SDK, and for what is not sampled, no command is sent. Where it is, a step leaves its span with its job (one
 * command more), and whoever takes its result reads it there (one for each, while the handler runs).
 * @throws {MissingPackageError} if `@opentelemetry/api` is not installed.
 */
export function tracing(options: TracingOptions = {}): Middleware {
  const { tracer } = checkOptions(options, OPTIONS);
  const api = openTelemetry();
  if (tracer !== undefined && typeof tracer?.startSpan !== 'function')
    throw new InvalidOptionError('tracer', 'a tracer of OpenTelemetry', tracer);
  const spans = new Spans(api, tracer);
  const middleware: Middleware & { readonly [TRACING]: Tracing } = {
    async send(call, next) {
      const { context, propagation, SpanKind } = api;
      const options = { kind: SpanKind.PRODUCER, attributes: sendAttributes(call) };
      const span = spans.tracer.startSpan(`send ${call.task ?? 'composition'}`, options);
      return context.with(api.trace.setSpan(context.active(), span), async () => {
        try {
          propagation.inject(context.active(), call.headers); // adds `traceparent` and the like
          const sent = await next();
          span.setAttributes(sentAttributes(call, sent.id));
          return sent;
        } catch (thrown) {
          const error = toError(thrown);
          spans.failed(span, {
            name: nameOf(error),
            message: error.message,
            ...(error.stack !== undefined && { stack: error.stack }),
          });
          throw thrown;
        } finally {
          span.end();
        }
      });
    },
    [TRACING]: spans,
  };
  return middleware;
}

class Spans implements Tracing {
  readonly tracer: Tracer;
  readonly #api: OpenTelemetry;
  readonly #isOwn: boolean;

  constructor(api: OpenTelemetry, tracer: Tracer | undefined) {
    this.#api = api;
    this.#isOwn = tracer !== undefined;
    this.tracer = tracer ?? api.trace.getTracer('@umbel/core');
  }

  async around(attempt: TracedAttempt, run: () => Promise<unknown>): Promise<unknown> {
    const { context, SpanKind, trace } = this.#api;
    const { context: task } = attempt;
    const sender = senderContext(task);
    const options = { kind: SpanKind.CONSUMER, attributes: attemptAttributes(task) };
    const span = this.tracer.startSpan(`process ${task.name}`, options, sender);
    const isRecorded = span.isRecording();
    if (isRecorded) attempt.leave(traceparentOf(span.spanContext()));
    // While the handler runs, which so does not wait for it.
    const linking = isRecorded ? this.#link(span, attempt) : undefined;
    try {
      return await context.with(trace.setSpan(sender, span), run);
    } catch (thrown) {
      const error = attempt.errorOf(thrown);
      if (error !== undefined) this.failed(span, error);
      throw thrown;
    } finally {
      const endedAt = performance.now();
      await linking;
      span.end(endedAt);
    }
  }

  isRecorded(headers: Readonly<Record<string, string>>): boolean {
    if (!this.#isOwn && !this.#hasProvider()) return false;
    const { trace, TraceFlags } = this.#api;
    const sender = trace.getSpanContext(senderContext({ headers }));
    return sender === undefined || (sender.traceFlags & TraceFlags.SAMPLED) !== 0;
  }

  failed(span: Span, { name, message, stack }: Pick<Error, 'name' | 'message' | 'stack'>): void {
    span.recordException({ name, message, ...(stack !== undefined && { stack }) });
    span.setAttribute(ATTRIBUTE.errorType, name);
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }

  async #link(span: Span, attempt: TracedAttempt): Promise<void> {
    try {
      const { traces, count } = await attempt.taken();
      if (count === 0) return;
      span.addLinks(traces.map((trace) => ({ context: spanContextOf(trace) })));
      span.setAttribute(ATTRIBUTE.links, count);
    } catch (thrown) {
      // A trace without links is no reason for an attempt to fail.
      this.#api.diag.warn('umbel: the steps before an attempt cannot be linked', toError(thrown).message);
    }
  }

  /** Until an SDK has set one, the global provider has no tracer to give. */
  #hasProvider(): boolean {
    const provider = this.#api.trace.getTracerProvider() as { getDelegateTracer?: (name: string) => unknown };
    return (
      provider.getDelegateTracer === undefined || provider.getDelegateTracer('@umbel/core') !== undefined
    );
  }
}
