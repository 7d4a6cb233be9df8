/**
 * Tracing middleware: spans for sends and attempts, with links to the steps whose results an attempt uses. OpenTelemetry's
 * API is an optional peer, which is loaded at first use.
 */

import type * as Api from '@opentelemetry/api';
import type { Attributes, Context, Span, SpanContext, Tracer } from '@opentelemetry/api';
import { InvalidOptionError } from '../base/errors.js';
import { optionalPeer } from '../base/modules.js';
import { checkOptions, type OptionNames } from '../base/option-checks.js';
import { performance } from '../base/real-timers.js';
import { nameOf } from '../codec/error-fields.js';
import { toError } from '../codec/error-record.js';
import type { TaskContext } from '../task/context.js';
import type { Middleware, OutgoingCall } from '../task/middleware.js';
import { TRACING, type TracedAttempt, type Tracing } from '../worker/tracing.js';

/**
 * Names of the span attributes: from OpenTelemetry's semantic conventions for messaging (1.45, in development), and
 * Umbel's own. Inputs and results are never recorded.
 * @example
 * const name = ATTRIBUTE.messageId; // 'messaging.message.id'
 */
export const ATTRIBUTE = {
  system: 'messaging.system.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  /** Name of the queue. */
  destination: 'messaging.destination.name',
  /** Id of the job. */
  messageId: 'messaging.message.id',
  /** Id of the workflow run. */
  conversationId: 'messaging.message.conversation_id',
  errorType: 'error.type',
  task: 'umbel.task',
  attempt: 'umbel.attempt',
  /** Number of steps whose results the attempt uses. Only the first 128 are linked. */
  links: 'umbel.links',
} as const;

function sendAttributes({ task }: Pick<OutgoingCall, 'task'>): Attributes {
  return { ...operation('send'), ...(task !== undefined && { [ATTRIBUTE.task]: task }) };
}

/** Returns the id of what was sent: the job id of a call, or the run id of a workflow. */
function sentAttributes({ task }: Pick<OutgoingCall, 'task'>, id: string): Attributes {
  return { [task === undefined ? ATTRIBUTE.conversationId : ATTRIBUTE.messageId]: id };
}

function attemptAttributes({
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

/** Options of `tracing`. */
export interface TracingOptions {
  /** Creates the spans. Default: the tracer of the global provider, once an SDK has set one. */
  tracer?: Tracer | undefined;
}

const OPTIONS: OptionNames<TracingOptions> = { tracer: true };

/**
 * Returns middleware that traces an app. Use it in the processes that send and in those of the workers.
 *
 * Each send is a span of kind PRODUCER below the active span; the propagator writes its context to the headers. Each
 * attempt at the call, or at a step of the workflow, is a span of kind CONSUMER below it, and is active while the handler
 * runs. The span of a step has links to the spans of the steps whose results it uses, 128 at most.
 *
 * Without an SDK, and for traces that are not sampled, no further store commands are sent. With sampling, each step stores
 * its span with its job (one command), and each attempt reads the spans of earlier steps (one command each, while the
 * handler runs).
 * @throws {MissingPackageError} if `@opentelemetry/api` is not installed.
 * @throws {InvalidOptionError} if `tracer` is not a tracer.
 * @example
 * const app = createApp({ name: 'shop', middleware: [tracing()] });
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
          propagation.inject(context.active(), call.headers); // adds `traceparent` and other headers
          const sent = await next();
          span.setAttributes(sentAttributes(call, sent.id));
          return sent;
        } catch (thrown) {
          const error = toError(thrown);
          spans.recordFailure(span, {
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
  readonly #hasOwnTracer: boolean;

  constructor(api: OpenTelemetry, tracer: Tracer | undefined) {
    this.#api = api;
    this.#hasOwnTracer = tracer !== undefined;
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
    // Runs beside the handler, so that the handler does not wait for it.
    const linking = isRecorded ? this.#link(span, attempt) : undefined;
    try {
      return await context.with(trace.setSpan(sender, span), run);
    } catch (thrown) {
      const error = attempt.errorOf(thrown);
      if (error !== undefined) this.recordFailure(span, error);
      throw thrown;
    } finally {
      const endedAt = performance.now();
      await linking;
      span.end(endedAt);
    }
  }

  isRecorded(headers: Readonly<Record<string, string>>): boolean {
    if (!this.#hasOwnTracer && !this.#hasProvider()) return false;
    const { trace, TraceFlags } = this.#api;
    const sender = trace.getSpanContext(senderContext({ headers }));
    return sender === undefined || (sender.traceFlags & TraceFlags.SAMPLED) !== 0;
  }

  recordFailure(span: Span, { name, message, stack }: Pick<Error, 'name' | 'message' | 'stack'>): void {
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
      // Missing links must not fail the attempt.
      this.#api.diag.warn(
        'umbel: cannot link an attempt to the spans of earlier steps',
        toError(thrown).message,
      );
    }
  }

  /** Whether an SDK has set a provider: before that the global provider has no tracer. */
  #hasProvider(): boolean {
    const provider = this.#api.trace.getTracerProvider() as { getDelegateTracer?: (name: string) => unknown };
    return (
      provider.getDelegateTracer === undefined || provider.getDelegateTracer('@umbel/core') !== undefined
    );
  }
}

// OpenTelemetry's API, and span contexts in their stored form (W3C `traceparent`).

type OpenTelemetry = typeof Api;

let loaded: OpenTelemetry | undefined;

/** Returns OpenTelemetry's API. @throws {MissingPackageError} if it is not installed. */
function openTelemetry(): OpenTelemetry {
  loaded ??= optionalPeer(
    '@opentelemetry/api',
    'Tracing (@umbel/core/opentelemetry)',
    bundled,
  ) as OpenTelemetry;
  return loaded;
}

/** Loads the package inside a bundle. Without a bundler there is no `require`, and an excluded package is missing. */
function bundled(): unknown {
  try {
    return require('@opentelemetry/api');
  } catch {
    return undefined;
  }
}

/** Returns the `traceparent` of a span. The stored form does not depend on the app's propagator. */
export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** Returns the context of a span of another process. The text was checked when it was read. */
export function spanContextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/**
 * Returns the context in which a call or its workflow was sent, with trace and baggage. Hooks run outside the attempt's
 * span: with `context.with(senderContext(ctx), …)` their spans and logs belong to the same trace.
 * @throws {MissingPackageError} if `@opentelemetry/api` is not installed.
 * @example
 * const hooks: Hooks = {
 *   failure: (ctx) => context.with(senderContext(ctx), () => console.error('failed')),
 * };
 */
export function senderContext({ headers }: Pick<TaskContext, 'headers'>): Context {
  const { propagation, ROOT_CONTEXT } = openTelemetry();
  // Not below the active context, which belongs to the code that started the worker.
  return propagation.extract(ROOT_CONTEXT, headers);
}
