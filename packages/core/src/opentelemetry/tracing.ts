/** Middleware that makes spans: of what sends, and of every attempt, linked to the steps whose results it takes. */
import type { Attributes, Span, Tracer } from '@opentelemetry/api';
import { InvalidOptionError } from '../base/errors.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { performance } from '../base/real-timers.js';
import { nameOf } from '../codec/error-fields.js';
import { toError } from '../codec/error-record.js';
import type { TaskContext } from '../task/context.js';
import type { Middleware, OutgoingCall } from '../task/middleware.js';
import { TRACING, type TracedAttempt, type Tracing } from '../worker/tracing.js';
import { type OpenTelemetry, openTelemetry, senderContext, spanContextOf, traceparentOf } from './api.js';

// What spans tell beside their names; never inputs and results.

/** Names from OpenTelemetry's semantic conventions for messaging (1.45, still in development), and Umbel's own. */
export const ATTRIBUTE = {
  system: 'messaging.system.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  /** The queue. */
  destination: 'messaging.destination.name',
  /** The job. */
  messageId: 'messaging.message.id',
  /** The run. */
  conversationId: 'messaging.message.conversation_id',
  errorType: 'error.type',
  task: 'umbel.task',
  attempt: 'umbel.attempt',
  /** How many steps gave the attempt its values; of more than 128 only the first are linked. */
  links: 'umbel.links',
} as const;

export function sendAttributes({ task }: Pick<OutgoingCall, 'task'>): Attributes {
  return { ...operation('send'), ...(task !== undefined && { [ATTRIBUTE.task]: task }) };
}

/** What was sent: a call has the id of a job, a composition that of a run. */
export function sentAttributes({ task }: Pick<OutgoingCall, 'task'>, id: string): Attributes {
  return { [task === undefined ? ATTRIBUTE.conversationId : ATTRIBUTE.messageId]: id };
}

export function attemptAttributes({
  queue,
  id,
  runId,
  name,
  attempt,
}: Pick<TaskContext, 'queue' | 'id' | 'runId' | 'name' | 'attempt'>): Attributes {
  return {
    ...operation('process'),
    [ATTRIBUTE.destination]: queue,
    [ATTRIBUTE.messageId]: id,
    ...(runId !== undefined && { [ATTRIBUTE.conversationId]: runId }),
    [ATTRIBUTE.task]: name,
    [ATTRIBUTE.attempt]: attempt,
  };
}

function operation(name: 'send' | 'process'): Attributes {
  return {
    [ATTRIBUTE.system]: 'bullmq',
    [ATTRIBUTE.operation]: name,
    [ATTRIBUTE.operationType]: name,
  };
}

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
    if (isRecorded) attempt.setTrace(traceparentOf(span.spanContext()));
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
      const { traces, count } = await attempt.readLinks();
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
