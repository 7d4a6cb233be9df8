/** Spans of sendings and attempts: what they are called, whose children they are, and what they never hold. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace';
import { chain, group } from '@umbel/canvas';
import { createApp, encryption } from '@umbel/core';
import { ATTRIBUTE, senderContext, tracing } from '@umbel/core/opentelemetry';
import { expect, inject, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { memory, onEveryEngine } from '../../../../test/engines.js';
import { MemoryBackend } from '../../../testing/src/memory/backend.js';
import { linksOf, recordSpans } from '../support/spans.js';

const soon = { timeout: '50s' } as const;
const CANARY = 'canary-4711-secret';

function recorded(...args: Parameters<typeof recordSpans>) {
  const spans = recordSpans(...args);
  onTestFinished(() => spans.stop());
  return spans;
}

onEveryEngine('tracing', (engine) => {
  test('names sendings and attempts by the conventions, and records what was thrown', async () => {
    const spans = recorded();
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
    const { id } = await task.delay();
    await app.result(id).get(soon);
    const [sender] = await spans.sent();
    const [failed, succeeded] = await spans.attempts();
    expect(sender).toMatchObject({ name: 'send task', kind: SpanKind.PRODUCER, links: [] });
    expect(sender?.attributes).toEqual({
      'messaging.system.name': 'bullmq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.message.id': id,
      'umbel.task': 'task',
    });
    expect(failed).toMatchObject({ name: 'process task', kind: SpanKind.CONSUMER, links: [] });
    expect(failed?.attributes).toEqual({
      'messaging.system.name': 'bullmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'slow',
      'messaging.message.id': id,
      'umbel.task': 'task',
      'umbel.attempt': 1,
      'error.type': 'RangeError',
    });
    expect(failed?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'too far' });
    expect(failed?.events.map(({ name, attributes }) => [name, attributes?.['exception.message']])).toEqual([
      ['exception', 'too far'],
    ]);
    expect(failed?.events[0]?.attributes?.['exception.stacktrace']).toContain('tracing.test');
    expect(succeeded?.status.code).toBe(SpanStatusCode.UNSET);
    expect(succeeded?.attributes).toMatchObject({ [ATTRIBUTE.attempt]: 2 });
    for (const attempt of [failed, succeeded])
      expect(attempt?.parentSpanContext).toMatchObject({
        spanId: sender?.spanContext().spanId,
        isRemote: true,
      });
  });

  test('puts steps under the id of their run, and each of many calls under a span of its own', async () => {
    const spans = recorded();
    const app = engine.app({ middleware: [tracing()] });
    const task = app.task({ name: 'task', input: z.number(), run: async (n) => n });
    await app.worker().start();
    const run = await chain(task, task).delay(1);
    await run.get(soon);
    const [sender] = await spans.sent();
    expect(sender).toMatchObject({ name: 'send composition' });
    const ids = [sender, ...(await spans.attempts())].map(
      (span) => span?.attributes[ATTRIBUTE.conversationId],
    );
    expect(ids).toEqual([run.id, run.id, run.id]);
    spans.reset();
    const calls = await task.sendMany([1, 2, 3]);
    await Promise.all(calls.map((call) => call.get(soon)));
    const sent = await spans.sent();
    expect(sent.map(({ attributes }) => attributes[ATTRIBUTE.messageId])).toEqual(calls.map(({ id }) => id));
    const parents = (await spans.attempts()).map(({ parentSpanContext }) => parentSpanContext?.spanId);
    expect(parents.sort()).toEqual(sent.map((span) => span.spanContext().spanId).sort());
  });

  test('covers what handlers open and send, and takes baggage and tracestate along', async () => {
    const spans = recorded();
    const app = engine.app({ middleware: [tracing()] });
    const tracer = trace.getTracer('test');
    const inner = app.task({
      name: 'inner',
      run: async (_, ctx) => {
        const span = trace.getSpan(senderContext(ctx));
        return {
          tenant: propagation.getActiveBaggage()?.getEntry('tenant')?.value ?? null,
          state: span?.spanContext().traceState?.serialize() ?? null,
        };
      },
    });
    const outer = app.task({
      name: 'outer',
      run: async (_, ctx) => {
        tracer.startSpan('inside').end();
        return (await inner.applyAsync(undefined, { parent: ctx })).id;
      },
    });
    await app.worker().start();
    const remote = propagation.extract(context.active(), {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'vendor=1',
      baggage: 'tenant=acme',
    });
    const sent = await context.with(remote, () => outer.delay());
    expect(await app.result(inner, await sent.get(soon)).get(soon)).toEqual({
      tenant: 'acme',
      state: 'vendor=1',
    });
    const all = await spans.all();
    const idOf = (name: string) => all.find((span) => span.name === name)?.spanContext().spanId;
    const parents = Object.fromEntries(
      all.map(({ name, parentSpanContext }) => [name, parentSpanContext?.spanId]),
    );
    expect(parents).toEqual({
      'send outer': 'b7ad6b7169203331',
      'process outer': idOf('send outer'),
      inside: idOf('process outer'),
      'send inner': idOf('process outer'),
      'process inner': idOf('send inner'),
    });
    expect(new Set(all.map((span) => span.spanContext().traceId))).toEqual(
      new Set(['0af7651916cd43dd8448eb211c80319c']),
    );
  });

  test('begins a trace for a call that brings none, whatever the worker was started in', async () => {
    const spans = recorded();
    const app = engine.app({ middleware: [tracing()] });
    app.task({ name: 'task', run: async () => 1 });
    const tracer = trace.getTracer('test');
    await tracer.startActiveSpan('start', (span) =>
      app
        .worker()
        .start()
        .finally(() => span.end()),
    );
    const sent = await engine.sameApp({ middleware: [] }).send('task');
    await sent.get(soon);
    const [attempt] = await spans.attempts();
    expect(attempt).toBeDefined();
    expect(attempt?.parentSpanContext).toBeUndefined();
  });

  test('also links steps whose sender traces nothing', async () => {
    const spans = recorded();
    const app = engine.app({ middleware: [tracing()] });
    const task = (name: string) => app.task({ name, input: z.unknown(), run: async () => 1 });
    for (const name of ['a', 'b', 'c']) task(name);
    await app.worker().start();
    const elsewhere = engine.sameApp({ middleware: [] });
    const [a, b, c] = [elsewhere.signature('a'), elsewhere.signature('b'), elsewhere.signature('c')];
    const sent = await chain(a, group([b, c])).delay(1);
    await sent.get(soon);
    expect(linksOf(await spans.all())).toEqual(['a', 'b ← a', 'c ← a']);
  });

  test('covers the validation of inputs and results', async () => {
    const spans = recorded();
    const app = engine.app({ middleware: [tracing()] });
    app.task({ name: 'takes', input: z.number(), run: async () => 1 });
    const gives = app.task({ name: 'gives', output: z.string().min(1), run: async () => '' });
    await app.worker().start();
    await (await engine.sameApp({ middleware: [] }).send('takes', 'text')).outcome(soon);
    await (await gives.delay()).outcome(soon);
    const found = (await spans.attempts()).map(({ name, attributes }) => [
      name,
      attributes[ATTRIBUTE.errorType],
    ]);
    expect(found).toEqual([
      ['process takes', 'ValidationError'],
      ['process gives', 'ValidationError'],
    ]);
  });

  test('makes the span of an isolated task in the worker', async () => {
    const spans = recorded();
    const app = engine.app({ name: 'isolated', middleware: [tracing()] });
    const isolate = new URL('./isolated/tasks.mjs', import.meta.url);
    const pid = app.task({ name: 'pid', isolate, run: async (): Promise<number> => -1 });
    await app.worker().start();
    expect(await (await pid.delay()).get(soon)).not.toBe(process.pid);
    const [attempt] = await spans.attempts();
    const [sender] = await spans.sent();
    expect(attempt?.parentSpanContext?.spanId).toBe(sender?.spanContext().spanId);
  });

  test('stores nothing for what is not sampled', async () => {
    const spans = recorded(new AlwaysOffSampler());
    const app = engine.app({ middleware: [tracing()] });
    const task = app.task({
      name: 'task',
      input: z.unknown(),
      run: async (_, { headers }) => headers.traceparent ?? '',
    });
    await app.worker().start();
    const run = await chain(task, group([task, task])).delay(1);
    const [header] = await run.get(soon);
    expect(header).toMatch(/^00-.*-00$/);
    expect(await spans.all()).toEqual([]);
    const queue = engine.bareQueue('default');
    const jobs = await queue.getCompleted();
    expect(jobs).toHaveLength(3);
    for (const { data } of jobs) expect(Object.keys(data)).not.toEqual(expect.arrayContaining(['trace']));
    for (const { data } of jobs) expect(Object.keys(data)).not.toEqual(expect.arrayContaining(['links']));
  });

  test.each(['sensitive', 'encoded'])('shows no secret that is %s', async (kind) => {
    const spans = recorded();
    const app = engine.app({
      middleware: [tracing()],
      ...(kind === 'sensitive'
        ? { sensitive: ['token'] }
        : { codecs: [encryption({ keys: { k: randomBytes(32) }, current: 'k' })] }),
    });
    const secret = z.object({ token: z.string() });
    const fails = app.task({
      name: 'fails',
      input: secret,
      retry: { attempts: 2, delay: 1 },
      run: async ({ token }): Promise<{ token: string }> => {
        throw new Error(`refused ${token}`, { cause: new Error(token) });
      },
    });
    const gives = app.task({ name: 'gives', input: secret, run: async (input) => input });
    const refuses = app.task({
      name: 'refuses',
      input: secret,
      output: z.literal('never'),
      run: async ({ token }) => token as 'never',
    });
    await app.worker().start();
    const run = await chain(gives, group([fails, refuses])).delay({ token: CANARY });
    expect((await run.outcome(soon)).ok).toBe(false);
    await expect.poll(async () => (await spans.attempts()).length, { timeout: 10_000 }).toBe(4);
    const text = JSON.stringify(
      (await spans.all()).map(({ name, attributes, status, events, links }) => ({
        name,
        attributes,
        status,
        events,
        links,
      })),
    );
    expect(text).toContain('exception');
    expect(text).not.toContain(CANARY);
  });
});

test('a sender in another process is the parent of attempts', async () => {
  const spans = recorded();
  const name = `test-${crypto.randomUUID()}`;
  const connection = inject('redisUrl');
  const app = createApp({ name, connection, middleware: [tracing()], resultTtl: '10s' });
  onTestFinished(() => app.close());
  app.task({ name: 'task', run: async () => 1 });
  await app.worker().start();
  const program = `
    import { context, propagation, trace } from '@opentelemetry/api';
    import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
    import { W3CTraceContextPropagator } from '@opentelemetry/core';
    import { TracerProvider } from '@opentelemetry/sdk-trace';
    import { createApp } from '@umbel/core';
    import { tracing } from '@umbel/core/opentelemetry';
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    let sent;
    const processor = { onStart() {}, onEnd: (span) => { sent = span.spanContext(); }, async forceFlush() {}, async shutdown() {} };
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [processor] }));
    const app = createApp({ name: ${JSON.stringify(name)}, connection: ${JSON.stringify(connection)}, middleware: [tracing()] });
    const { id } = await app.send('task');
    await app.close();
    console.log(JSON.stringify({ id, traceId: sent.traceId, spanId: sent.spanId }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)), // what was built, under its own name
  });
  const { id, traceId, spanId } = JSON.parse(stdout) as { id: string; traceId: string; spanId: string };
  await app.result(id).get(soon);
  const [attempt] = await spans.attempts();
  expect(attempt?.parentSpanContext).toMatchObject({ traceId, spanId, isRemote: true });
});

test('sends no command more without an SDK', async () => {
  const counted = [
    'getJobData',
    'replaceData',
    'updateData',
    'getDependencies',
    'getDependencyCounts',
  ] as const;
  const spies = counted.map((name) => vi.spyOn(MemoryBackend.prototype, name));
  onTestFinished(() => spies.forEach((spy) => void spy.mockRestore()));
  const commandsOf = async (isTraced: boolean) => {
    for (const spy of spies) spy.mockClear();
    const app = createApp({ name: 'app', connection: memory(), middleware: isTraced ? [tracing()] : [] });
    const task = app.task({ name: 'task', input: z.unknown(), run: async () => 1 });
    await app.worker({ repairInterval: false }).start();
    const sent = await chain(task, group([task, task]), task).delay(1);
    await sent.get(soon);
    await app.close();
    return spies.map((spy) => spy.mock.calls.length);
  };
  const bare = await commandsOf(false);
  expect(await commandsOf(true)).toEqual(bare);
  recorded();
  const traced = await commandsOf(true);
  // The span of each of four steps is left with one command; the join reads those of two, and the fan-out that of one.
  expect(traced.map((count, index) => count - (bare[index] ?? 0))).toEqual([3, 4, 0, 0, 0]);
});

test('refuses what is no tracer', () => {
  expect(() => tracing({ tracer: {} as never })).toThrow('Expected `tracer` to be a tracer of OpenTelemetry');
});
