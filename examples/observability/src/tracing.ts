/** Traces with OpenTelemetry: the sender's trace goes along in the headers, and every attempt becomes a part of it. */
import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Middleware, TaskContext } from '@umbel/core';

/** Names from OpenTelemetry's semantic conventions for messaging (1.45, still in development), and Umbel's own. */
export const ATTRIBUTE = {
  system: 'messaging.system.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  messageId: 'messaging.message.id',
  conversationId: 'messaging.message.conversation_id',
  errorType: 'error.type',
  task: 'umbel.task',
  attempt: 'umbel.attempt',
} as const;

const tracer = trace.getTracer('umbel');

export function tracing(): Middleware {
  return {
    send(call, next) {
      const attributes = { ...operation('send'), ...(call.task && { [ATTRIBUTE.task]: call.task }) };
      const name = `send ${call.task ?? 'composition'}`;
      return inSpan(name, { kind: SpanKind.PRODUCER, attributes }, async (span) => {
        propagation.inject(context.active(), call.headers); // adds `traceparent`
        const sent = await next();
        span.setAttribute(call.task ? ATTRIBUTE.messageId : ATTRIBUTE.conversationId, sent.id);
        return sent;
      });
    },

    run(ctx, next) {
      const attributes = {
        ...operation('process'),
        [ATTRIBUTE.destination]: ctx.queue,
        [ATTRIBUTE.messageId]: ctx.id,
        ...(ctx.runId && { [ATTRIBUTE.conversationId]: ctx.runId }),
        [ATTRIBUTE.task]: ctx.name,
        [ATTRIBUTE.attempt]: ctx.attempt,
      };
      return context.with(senderOf(ctx), () =>
        inSpan(`process ${ctx.name}`, { kind: SpanKind.CONSUMER, attributes }, () => next()),
      );
    },
  };
}

/** The context that a call was sent in. Not below the active one, which is of whoever started the worker. */
export function senderOf({ headers }: Pick<TaskContext, 'headers'>): Context {
  return propagation.extract(ROOT_CONTEXT, headers);
}

/** Runs `work` in a span below the active one. What it throws is recorded there, and thrown on. */
export function inSpan<Value>(
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<Value>,
): Promise<Value> {
  return tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await work(span);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      span.recordException(error);
      span.setAttribute(ATTRIBUTE.errorType, error.name);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      throw thrown;
    } finally {
      span.end();
    }
  });
}

function operation(name: 'send' | 'process') {
  return {
    [ATTRIBUTE.system]: 'bullmq',
    [ATTRIBUTE.operation]: name,
    [ATTRIBUTE.operationType]: name,
  };
}
