import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { chain } from '@umbel/canvas';
import { ATTRIBUTE, tracing } from '@umbel/core/opentelemetry';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../test/engines.js';
import { inSpan } from '../src/spans.js';
import { startTelemetry } from '../src/telemetry.js';

const soon = { timeout: '50s' } as const;
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

let endedSpans: () => Promise<ReadableSpan[]>;
beforeAll(() => {
  endedSpans = startTelemetry();
});

/** The spans of a kind that carry this id, in order of their end. */
async function spansOf(id: string, kind: SpanKind): Promise<ReadableSpan[]> {
  const ids = [ATTRIBUTE.messageId, ATTRIBUTE.conversationId];
  const spans = await endedSpans();
  return spans.filter((span) => span.kind === kind && ids.some((key) => span.attributes[key] === id));
}

/** The span, as the header `traceparent` names it. */
function headerOf(span: ReadableSpan | undefined): string {
  return `00-${span?.spanContext().traceId}-${span?.spanContext().spanId}-01`;
}

onEveryEngine('tracing', (engine) => {
  test('sends the span of the sender along in the headers, beside those that were given', async () => {
    const app = engine.app({ middleware: [tracing()] });
    const task = app.task({ name: 'task', run: async (_, { headers }) => ({ ...headers }) });
    await app.worker().start();
    const sent = await task.applyAsync(undefined, { headers: { tenant: 'acme' } });
    const headers = await sent.get(soon);
    const [sender] = await spansOf(sent.id, SpanKind.PRODUCER);
    const [attempt] = await spansOf(sent.id, SpanKind.CONSUMER);
    expect(headers).toEqual({ tenant: 'acme', traceparent: headerOf(sender) });
    expect(attempt?.parentSpanContext).toMatchObject({
      spanId: sender?.spanContext().spanId,
      isRemote: true,
    });
    expect(attempt?.spanContext().traceId).toBe(sender?.spanContext().traceId);
  });

  test('sends the span of the sender to every step of a composition', async () => {
    const app = engine.app({ middleware: [tracing()] });
    const collect = app.task({
      name: 'collect',
      input: z.array(z.string()),
      run: async (before, { headers }) => [...before, headers.traceparent ?? ''],
    });
    await app.worker().start();
    const sent = await chain(collect, collect).delay([]);
    const headers = await sent.get(soon);
    const [sender] = await spansOf(sent.id, SpanKind.PRODUCER);
    const attempts = await spansOf(sent.id, SpanKind.CONSUMER);
    expect(headers).toEqual([headerOf(sender), headerOf(sender)]);
    expect(attempts.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      Array(2).fill(sender?.spanContext().spanId),
    );
  });

  test('goes on with a trace that comes from elsewhere', async () => {
    const app = engine.app({ middleware: [tracing()] });
    app.task({ name: 'task', run: async () => 1 });
    await app.worker().start();
    const elsewhere = engine.sameApp({ middleware: [] });
    const sent = await elsewhere.send('task', undefined, {
      headers: { traceparent: `00-${TRACE}-${SPAN}-01` },
    });
    await sent.get(soon);
    const [attempt] = await spansOf(sent.id, SpanKind.CONSUMER);
    expect(attempt?.parentSpanContext).toMatchObject({ traceId: TRACE, spanId: SPAN });
  });

  test('begins a trace for a call that brings none, whatever the worker was started in', async () => {
    const app = engine.app({ middleware: [tracing()] });
    app.task({ name: 'task', run: async () => 1 });
    await inSpan('start', {}, () => app.worker().start());
    const sent = await engine.sameApp({ middleware: [] }).send('task');
    await sent.get(soon);
    const [attempt] = await spansOf(sent.id, SpanKind.CONSUMER);
    expect(attempt).toBeDefined();
    expect(attempt?.parentSpanContext).toBeUndefined();
  });

  test('names what it sees by the conventions, and records what was thrown', async () => {
    const app = engine.app({ middleware: [tracing()] });
    const task = app.task({
      name: 'task',
      queue: 'slow',
      retry: { attempts: 2, delay: 1 },
      run: async (_, { attempt }) => {
        if (attempt === 1) throw new RangeError('too far');
        return 1;
      },
    });
    await app.worker().start();
    const sent = await task.delay();
    await sent.get(soon);
    const [sender] = await spansOf(sent.id, SpanKind.PRODUCER);
    expect(sender?.attributes).toEqual({
      'messaging.system.name': 'bullmq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.message.id': sent.id,
      'umbel.task': 'task',
    });
    const [failed, succeeded] = await spansOf(sent.id, SpanKind.CONSUMER);
    expect(failed?.attributes).toEqual({
      'messaging.system.name': 'bullmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'slow',
      'messaging.message.id': sent.id,
      'umbel.task': 'task',
      'umbel.attempt': 1,
      'error.type': 'RangeError',
    });
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'too far' });
    expect(failed?.events.map(({ name, attributes }) => [name, attributes?.['exception.message']])).toEqual([
      ['exception', 'too far'],
    ]);
    expect(succeeded?.attributes).toMatchObject({ 'umbel.attempt': 2 });
    expect(succeeded?.status.code).toBe(SpanStatusCode.UNSET);
    expect(succeeded?.parentSpanContext?.spanId).toBe(failed?.parentSpanContext?.spanId);
  });
});
