/**
 * Options that nobody knows are refused by every public function that takes options, with the nearest name; those that
 * are documented pass.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chain, group } from '@umbel/canvas';
import { compression, createApp, encryption, InvalidOptionError } from '@umbel/core';
import { tracing } from '@umbel/core/opentelemetry';
import { prometheusMetrics } from '@umbel/core/prometheus';
import { assertEnqueued, assertRan, memory, testApp } from '@umbel/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const connection = memory();
const app = createApp({ name: 'options', connection, queues: ['default', 'other'] });
const task = app.task({ name: 'task', input: z.object({ x: z.number() }), run: async () => 1 });
const contract = app.defineTask({ name: 'contract' });
const both = chain(task, task.si({ x: 1 }));
const result = app.result('no-such-job');
const empty = await group([]).delay();
const t = await testApp(app);
afterAll(async () => {
  await t.close();
  await app.close();
});

let made = 0;
const unique = () => `made-${made++}`;
const moment = new Date(0);
const noSignal = new AbortController().signal;

/** How a function is called with options, and values of all that it takes. */
interface Row {
  /** @param options Some of those below, and perhaps a misspelt one. */
  readonly call: (options: never) => unknown;
  /** What is given with each of the others. */
  readonly needed?: Readonly<Record<string, unknown>>;
  readonly known: Readonly<Record<string, unknown>>;
  /** One that is refused if it is there without a value. */
  readonly neverUndefined?: string;
  /** Where the options stand, as the error names them. */
  readonly above?: string;
}

const signature = {
  queue: 'other',
  priority: 1,
  countdown: '1s',
  expires: '1m',
  timeout: '1m',
  retry: { attempts: 2 },
  headers: { a: 'b' },
  displayName: 'name',
  tags: ['tag'],
};
const bulk = {
  ...signature,
  eta: moment,
  ignoreResult: true,
  parent: { id: 'a', rootId: 'b' },
  sendTimeout: '1s',
};
const send = {
  ...bulk,
  unique: true,
  throttle: { for: '1s' },
  debounce: { for: '1s' },
  idempotencyKey: 'key',
  link: task.si({ x: 1 }),
  linkError: contract.si(),
};
const get = { timeout: '1ms', signal: noSignal, allowInTask: true };
const ask = { workers: 'nobody', timeout: '1ms' };
const filter = {
  queue: 'default',
  task: 'task',
  error: 'Error',
  state: 'failed',
  tag: 'tag',
  since: moment,
  until: moment,
};
const runQuery = { state: 'failed', tag: 'tag', since: moment, until: moment, limit: 1 };
const retry = { attempts: 2, backoff: 'fixed', delay: 1, max: '1s', jitter: true };

const rows: Readonly<Record<string, Row>> = {
  createApp: {
    call: createApp,
    needed: { name: 'a' },
    known: {
      connection,
      prefix: 'a',
      queues: ['a'],
      routes: {},
      resultTtl: '1d',
      failureTtl: '1d',
      sendTimeout: '1s',
      middleware: [],
      hooks: {},
      sensitive: [],
      codecs: [],
      limits: {},
      logger: { info() {}, warn() {}, error() {} },
      searchIndex: true,
    },
  },
  'createApp limits': {
    call: (limits: never) => createApp({ name: 'a', connection, limits }),
    known: { inputBytes: 1, resultBytes: 1, groupMembers: 1 },
    above: 'limits.',
  },
  'createApp queues': {
    call: (other: never) => createApp({ name: 'a', connection, queues: { other } }),
    known: { concurrency: 1, rateLimit: '1/s' },
    above: 'queues.other.',
  },
  'createApp hooks': {
    call: (hooks: never) => createApp({ name: 'a', connection, hooks }),
    known: { before() {}, success() {}, retry() {}, failure() {}, always() {} },
    above: 'hooks.',
  },
  'app.task': {
    call: (options: object) =>
      app.task({ ...(options as { name: string }), name: unique(), run: async () => 1 }),
    known: {
      input: z.string(),
      output: z.number(),
      queue: 'other',
      priority: 1,
      timeout: '1s',
      expires: '1s',
      retry,
      unique: true,
      throttle: { for: 1 },
      debounce: { for: 1 },
      progress: z.string(),
      states: ['waiting-for-it'],
      failures: {},
      sensitive: ['a'],
      hooks: {},
      isolate: import.meta.url,
    },
  },
  'app.task hooks': {
    call: (hooks: never) => app.task({ name: unique(), hooks, run: async () => 1 }),
    known: { before() {}, success() {}, retry() {}, failure() {}, always() {} },
    above: 'hooks.',
  },
  'app.task retry': {
    call: (options: never) => app.task({ name: unique(), retry: options, run: async () => 1 }),
    known: { ...retry, on: () => true },
    above: 'retry.',
  },
  'app.defineTask': {
    call: (options: object) => app.defineTask({ ...options, name: unique() }),
    known: { queue: 'other' },
  },
  'app.implement': {
    call: (options: never) => app.implement(app.defineTask({ name: unique() }), async () => {}, options),
    known: { hooks: {}, isolate: import.meta.url },
  },
  'task.applyAsync': { call: (options: never) => task.applyAsync({ x: 1 }, options), known: send },
  'task.applyAsync retry': {
    call: (options: never) => task.applyAsync({ x: 1 }, { retry: options }),
    known: retry,
    above: 'retry.',
  },
  'composition.applyAsync': {
    call: (options: never) => both.applyAsync({ x: 1 }, options),
    known: { ...bulk, idempotencyKey: 'other', link: contract.si(), linkError: contract.si() },
  },
  'app.send': { call: (options: never) => app.send('task', { x: 1 }, options), known: bulk },
  'task.sendMany': { call: (options: never) => task.sendMany([{ x: 1 }], options), known: bulk },
  'task.set': { call: (options: never) => task.set(options), known: signature },
  'composition.set': { call: (options: never) => both.set(options), known: signature },
  unique: {
    call: (options: never) => task.applyAsync({ x: 1 }, { unique: options }),
    known: { for: '1s', key: 'a', until: 'started' },
    above: 'unique.',
  },
  throttle: {
    call: (options: never) => task.applyAsync({ x: 1 }, { throttle: options }),
    needed: { for: '1s' },
    known: { key: 'a' },
    above: 'throttle.',
  },
  debounce: {
    call: (options: never) => task.applyAsync({ x: 1 }, { debounce: options }),
    needed: { for: '1s' },
    known: { key: 'a', maxWait: '2s' },
    above: 'debounce.',
  },
  'result.get': { call: (options: never) => result.get(options), known: get },
  'result.outcome': { call: (options: never) => result.outcome(options), known: get },
  'result.progress': { call: (options: never) => result.progress(options), known: get },
  'result.members': { call: (options: never) => result.members(options), known: get },
  'result.collect': { call: (options: never) => result.collect(options), known: get },
  'result.page': { call: (options: never) => result.page(options), known: { offset: 1, limit: 1 } },
  'result.revoke': { call: (options: never) => result.revoke(options), known: { terminate: true } },
  'ready get': { call: (options: never) => empty.get(options), known: get },
  'ready outcome': { call: (options: never) => empty.outcome(options), known: get },
  'ready progress': { call: (options: never) => empty.progress(options), known: get },
  'ready members': { call: (options: never) => empty.members(options), known: get },
  'ready collect': { call: (options: never) => empty.collect(options), known: get },
  'ready page': { call: (options: never) => empty.page(options), known: { offset: 1, limit: 1 } },
  'ready revoke': { call: (options: never) => empty.revoke(options), known: { terminate: true } },
  'app.find': { call: (query: never) => app.find(query), needed: { tag: 'tag' }, known: { tag: 'tag' } },
  'app.revoke': {
    call: (query: never) => app.revoke(query),
    needed: { tag: 'tag' },
    known: { terminate: true },
  },
  'app.events': {
    call: (query: never) => app.events(query),
    needed: { signal: AbortSignal.abort() },
    known: {
      from: 'start',
      types: ['failed'],
      tasks: ['task'],
      queues: ['other'],
      id: 'a',
      signal: AbortSignal.abort(),
    },
  },
  'app.diagnose': { call: (options: never) => app.diagnose(options), known: { jobs: 1 } },
  'queue.purge': {
    call: (options: never) => app.queue('other').purge(options),
    known: { delayed: true, onProgress: () => {} },
  },
  'deadLetters.list': {
    call: (query: never) => app.deadLetters.list(query),
    known: { ...filter, limit: 1, offset: 1 },
  },
  'deadLetters.replay': {
    call: (options: never) => app.deadLetters.replay('no-such-job', options),
    known: { input: 1, edit: () => 1 },
    neverUndefined: 'input',
  },
  'deadLetters.replayMany': {
    call: (options: never) => app.deadLetters.replayMany({}, options),
    known: { limit: 1, dryRun: true, edit: () => 1 },
  },
  'deadLetters.replayMany filter': {
    call: (query: never) => app.deadLetters.replayMany(query),
    known: filter,
  },
  'deadLetters.discardMany': {
    call: (options: never) => app.deadLetters.discardMany({}, options),
    known: { limit: 1, dryRun: true },
  },
  'jobs.list': {
    call: (query: never) => app.jobs.list(query),
    known: { ...runQuery, task: 'task', queue: 'other', run: 'run' },
  },
  'jobs.all': { call: (query: never) => app.jobs.all(query), known: { state: 'failed', task: 'task' } },
  'runs.list': { call: (query: never) => app.runs.list(query), known: runQuery },
  'runs.all': { call: (query: never) => app.runs.all(query), known: { state: 'failed', tag: 'tag' } },
  'app.schedule': {
    call: (options: never) => app.schedule(unique(), options, task.si({ x: 1 })),
    needed: { every: '1h' },
    known: {
      tz: 'UTC',
      jitter: '1s',
      start: moment,
      end: new Date(1e12),
      except: { dates: [] },
      catchUp: 'skip',
      overlap: 'skip',
    },
  },
  'app.schedule except': {
    call: (except: never) => app.schedule(unique(), { cron: '@daily', except }, task.si({ x: 1 })),
    known: { dates: [], ranges: [], weekdays: ['monday'] },
    above: 'except.',
  },
  'schedules.sync': { call: (options: never) => app.schedules.sync(options), known: { prune: false } },
  'inspect.scheduled': {
    call: (query: never) => app.inspect.scheduled(query),
    known: { queue: 'other', limit: 1 },
  },
  'inspect.reserved': {
    call: (query: never) => app.inspect.reserved(query),
    known: { queue: 'other', limit: 1 },
  },
  'inspect.ping': { call: (options: never) => app.inspect.ping(options), known: ask },
  'inspect.active': { call: (options: never) => app.inspect.active(options), known: ask },
  'inspect.stats': { call: (options: never) => app.inspect.stats(options), known: ask },
  'inspect.registered': { call: (options: never) => app.inspect.registered(options), known: ask },
  'inspect.conf': { call: (options: never) => app.inspect.conf(options), known: ask },
  'control.revoke': {
    call: (options: never) => app.control.revoke('a', options),
    known: { terminate: true },
  },
  'control.revokeByTag': {
    call: (options: never) => app.control.revokeByTag('a', options),
    known: { terminate: true },
  },
  'control.setConcurrency': {
    call: (options: never) => app.control.setConcurrency(1, options),
    known: { ...ask, queue: 'other' },
  },
  'control.addQueue': {
    call: (options: never) => app.control.addQueue('other', options),
    known: { ...ask, concurrency: 1 },
  },
  'control.cancelQueue': { call: (options: never) => app.control.cancelQueue('other', options), known: ask },
  'control.shutdown': {
    call: (options: never) => app.control.shutdown(options),
    known: { ...ask, jobsTimeout: 0 },
  },
  'app.worker': {
    call: (options: never) => app.worker(options),
    known: {
      queues: ['other'],
      concurrency: 1,
      name: 'a',
      lockDuration: '1s',
      handleSignals: false,
      shutdownTimeout: false,
      maxJobs: 1,
      maxMemory: '1GB',
      health: 0,
      fallback() {},
      allowEviction: true,
      processes: 1,
      watch: false,
      maxLostStarts: 1,
      repairInterval: false,
      schedules: false,
      heartbeat: false,
    },
  },
  'app.worker health': {
    call: (health: never) => app.worker({ health }),
    needed: { port: 0 },
    known: { host: '127.0.0.1', metrics: { text: async () => '', contentType: 'text/plain' } },
    above: 'health.',
  },
  'worker.close': {
    call: (options: never) => app.worker().close(options),
    known: { force: true, timeout: 0 },
  },
  group: { call: (options: never) => group([task], options), known: { cancelSiblings: true } },
  'group.any': { call: (options: never) => group.any([task], options), known: { cancelSiblings: true } },
  'group.atLeast': {
    call: (options: never) => group.atLeast(1, [task], options),
    known: { cancelSiblings: true },
  },
  encryption: {
    call: (options: never) => encryption(options),
    needed: { keys: { a: new Uint8Array(32) }, current: 'a' },
    known: { keys: { a: new Uint8Array(32) }, current: 'a' },
  },
  compression: { call: (options: never) => compression(options), known: { minBytes: 1 } },
  tracing: { call: (options: never) => tracing(options), known: { tracer: { startSpan() {} } } },
  prometheusMetrics: {
    call: (options: never) => prometheusMetrics(app, options).stop(),
    known: { prefix: 'a_', labels: { a: 'b' }, buckets: [1] },
  },
  memory: { call: (options: never) => memory(options), known: { seed: 1 } },
  testApp: {
    call: async (options: never) => (await testApp(createApp({ name: 'a', connection }), options)).close(),
    known: { now: moment, concurrency: 1, virtualTimers: false, retention: false, seed: 1 },
  },
  't.perform': {
    call: (options: never) => t.perform(task, { x: 1 }, options),
    known: { attempt: 1, headers: {}, signal: noSignal },
  },
  't.fakeAll': { call: (options: never) => t.fakeAll(() => 1, options), known: { except: [] } },
  't.crashWorker': {
    call: (options: never) => t.crashWorker(options),
    needed: { at: 'before-handler', times: 0 },
    known: { task, times: 0 },
  },
  't.loseLock': {
    call: (options: never) => t.loseLock(options),
    needed: { times: 0 },
    known: { task, times: 0 },
  },
  't.failStore': {
    call: (options: never) => t.failStore(options),
    needed: { command: 'addJob', times: 0 },
    known: { error: new Error(), times: 0 },
  },
  assertEnqueued: {
    call: (options: never) => assertEnqueued(t, task, undefined, options),
    known: { times: 0, queue: 'other', priority: 1, delay: '1s' },
  },
  assertRan: { call: (options: never) => assertRan(t, task, options), known: { times: 0 } },
};

/** What a function throws, at once, later, or when the first value is asked for. */
async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    const answer = await call();
    if (
      typeof answer === 'object' &&
      answer !== null &&
      Symbol.asyncIterator in answer &&
      !('delay' in answer)
    ) {
      const values = (answer as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      await values.next();
      await values.return?.();
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.each(Object.entries(rows))('%s', (_, { call, needed = {}, known, neverUndefined, above = '' }) => {
  test.each(Object.entries(known))('takes `%s`, and undefined for it', async (option, value) => {
    for (const given of [value, undefined]) {
      if (given === undefined && (option in needed || option === neverUndefined)) continue;
      const error = await thrownBy(() => call({ ...needed, [option]: given } as never));
      expect(error instanceof InvalidOptionError ? error.message : undefined).toBe(undefined);
    }
  });

  test.each(Object.entries(known))('refuses a misspelt `%s`', async (option, value) => {
    const error = await thrownBy(() => call({ ...needed, [`${option}x`]: value } as never));
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect(error).toMatchObject({ option: `${above}${option}x` });
    expect((error as Error).message).toContain(`did you mean \`${option}\`?`);
  });

  test('names its options to whoever gives another one', async () => {
    const error = await thrownBy(() => call({ ...needed, nothingLikeIt: 1 } as never));
    expect(error).toMatchObject({ code: 'INVALID_OPTION', option: `${above}nothingLikeIt` });
    for (const option of Object.keys(known)) expect((error as Error).message).toContain(option);
  });
});

test.each(['resultTtl', 'failureTtl'])('no time at all is no %s', (option) => {
  const error = () => createApp({ name: 'a', connection, [option]: 0 });
  expect(error).toThrow(InvalidOptionError);
  expect(error).toThrow('waiting callers read the outcome from the store');
});

test('every type of options that is exported has its names in the code', () => {
  const folders = ['core', 'canvas', 'testing'].map((name) =>
    fileURLToPath(new URL(`../../packages/${name}/src`, import.meta.url)),
  );
  const sources = folders.map((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(`${folder}/${file}`, 'utf8'))
      .join('\n'),
  );
  const code = sources.join('\n');
  const exported = folders.flatMap((folder) =>
    [...readFileSync(`${folder}/index.ts`, 'utf8').matchAll(/\b\w+(?:Options|Query|Filter|Limits)\b/g)].map(
      String,
    ),
  );
  // Parts of others, and what a task's definition consists of.
  const parts = [
    'JobFilter',
    'RunFilter',
    'RetryOptions',
    'TaskOptions',
    'DiscardManyOptions',
    'DeduplicationOptions',
    'CallOptions',
  ];
  const missing = new Set(
    exported.filter((name) => !parts.includes(name) && !code.includes(`OptionNames<${name}`)),
  );
  expect([...missing]).toEqual([]);
});
