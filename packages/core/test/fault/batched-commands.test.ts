/** Many calls of BullMQ's scripts in one command: each is answered, and fails, as if it were alone. */
import { createRedisBackend, ErrorCode, type JobJson, type RedisQueueBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { scriptsOf } from '../../../../test/support/redis-use.js';
import { claimDetailsOf } from '../../src/store/claim-details.js';
import { batchesCommands } from '../../src/store/engine/redis/batching/batched-backend.js';
import { runsWholeScripts } from '../../src/store/engine/redis/whole-scripts.js';

const PREFIX = 'umbel:{batches}';
const KEEP = { count: -1 };

let redis: RedisServer;
let admin: Redis;
let backends: RedisQueueBackend[];

beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  backends = [];
});

afterEach(async () => {
  await Promise.all(backends.map((backend) => backend.close()));
  admin.disconnect();
  await redis.stop();
});

/** A backend of a queue, with the options of a worker. */
async function open(queue: string, isBatched = true): Promise<RedisQueueBackend> {
  const options = { connection: { url: redis.url }, prefix: PREFIX, lockDuration: 30_000, name: 'worker' };
  const backend = createRedisBackend(queue, options);
  backend.on('error', () => {});
  backends.push(backend);
  if (isBatched) batchesCommands(backend);
  await runsWholeScripts(backend);
  return backend;
}

const job = (id: string, opts: object = {}, more: Partial<JobJson> = {}): JobJson => ({
  id,
  name: 'task',
  data: '{"a":1}',
  opts,
  timestamp: 1_000_000,
  progress: 0,
  attemptsMade: 0,
  attemptsStarted: 0,
  stalledCounter: 0,
  failedReason: 'null',
  returnvalue: 'null',
  ...more,
});

const codeOf = ({ reason }: PromiseRejectedResult): unknown => (reason as { code?: unknown }).code;
/** The value of each call, or the code of its error. */
const outcomes = async (calls: Promise<unknown>[]) =>
  (await Promise.allSettled(calls)).map((call) => (call.status === 'fulfilled' ? call.value : codeOf(call)));

/** Number of scripts that clients run in `action`. */
const commandsOf = async (action: () => Promise<unknown>) => (await scriptsOf(admin, action)).count;

/** Everything that a queue holds, with what differs between two runs left out. */
async function contentOf(queue: string): Promise<unknown> {
  const keys = (await admin.keys(`${PREFIX}:${queue}:*`)).sort();
  const content: Record<string, unknown> = {};
  for (const key of keys) {
    const name = key.slice(PREFIX.length + queue.length + 2);
    const type = await admin.type(key);
    if (type === 'hash') content[name] = Object.entries(await admin.hgetall(key)).sort();
    if (type === 'list') content[name] = await admin.lrange(key, 0, -1);
    if (type === 'zset') content[name] = await admin.zrange(key, '0', '-1', 'WITHSCORES');
    if (type === 'set') content[name] = (await admin.smembers(key)).sort();
    if (type === 'stream') content[name] = (await admin.xrange(key, '-', '+')).map(([, fields]) => fields);
    if (type === 'string') content[name] = await admin.get(key);
  }
  return JSON.parse(JSON.stringify(content).replaceAll(`${PREFIX}:${queue}`, 'queue'));
}

/** Adds jobs and claims them. Returns their ids and tokens. */
async function claim(backend: RedisQueueBackend, count: number): Promise<{ id: string; token: string }[]> {
  const ids = Array.from({ length: count }, (_, n) => `job-${n}`);
  await backend.addJobs(ids.map((id) => ({ job: job(id), jobId: id, parentKeyOpts: {} })));
  const answers = await Promise.all(ids.map((_, n) => backend.moveToActive(`token-${n}`, 'worker')));
  return answers.map(([, id], n) => ({ id: String(id), token: `token-${n}` }));
}

const minimal = (id: string) => job(id, { attempts: 1 }) as never;

describe('jobs that are added in one turn', () => {
  const calls = (backend: RedisQueueBackend) => [
    backend.addJob(job('a'), 'a'),
    backend.addJob(job('b', { priority: 3 }), 'b'),
    backend.addJob(job('c', { delay: 60_000 }), 'c'),
    backend.addJob(job('a'), 'a'),
    backend.addJob(job('d', { lifo: true }), 'd'),
    backend.addJob(job('e', {}, { parentKey: `${PREFIX}:none:x` }), 'e', { parentKey: `${PREFIX}:none:x` }),
    backend.addJob(job('f', { deduplication: { id: 'key' } }, { deduplicationId: 'key' }), 'f'),
    backend.addJob(job('g', { deduplication: { id: 'key' } }, { deduplicationId: 'key' }), 'g'),
    backend.addJob(job('p'), 'p', { addToWaitingChildren: true }),
  ];

  test('share a command, and are stored as if each had its own', async () => {
    const [batched, plain] = [await open('batched'), await open('plain', false)];
    let answers: unknown[] = [];
    expect(
      await commandsOf(async () => {
        answers = await outcomes(calls(batched));
      }),
    ).toBe(1);
    expect(answers).toEqual(await outcomes(calls(plain)));
    expect(answers).toEqual(['a', 'b', 'c', 'a', 'd', ErrorCode.ParentJobNotExist, 'f', 'f', 'p']);
    expect(await contentOf('batched')).toEqual(await contentOf('plain'));
  });

  test('share commands with `addJobs`, each with a bounded number', async () => {
    const backend = await open('batched');
    const ids = Array.from({ length: 500 }, (_, n) => `job-${n}`);
    const entries = ids.map((id) => ({ job: job(id), jobId: id, parentKeyOpts: {} }));
    expect(
      await commandsOf(async () => {
        expect(await backend.addJobs(entries)).toEqual(ids);
      }),
    ).toBe(8);
    expect(await admin.lrange(backend.toKey('wait'), 0, -1)).toEqual(ids.toReversed());
  });

  test('below each other are stored by one command, or by one transaction of several', async () => {
    const entries = (queue: string, count: number) => {
      const parent = { id: 'parent', queue: `${PREFIX}:${queue}` };
      const parentKey = `${parent.queue}:parent`;
      const link = { parentKey, parentDependenciesKey: `${parentKey}:dependencies` };
      const place = { prefix: PREFIX, queueName: queue };
      const above = {
        jobData: job('parent'),
        jobId: 'parent',
        parentKeyOpts: { addToWaitingChildren: true },
      };
      const below = Array.from({ length: count }, (_, n) => ({
        jobData: job(`child-${n}`, {}, { parent: { id: 'parent', queueKey: parent.queue }, parentKey }),
        jobId: `child-${n}`,
        parentKeyOpts: link,
      }));
      return [above, ...below].map((entry) => ({ ...entry, ...place })) as never;
    };
    const [batched, plain] = [await open('batched'), await open('plain', false)];
    expect(await commandsOf(() => batched.addFlow(entries('batched', 20)))).toBe(1);
    await plain.addFlow(entries('plain', 20));
    expect(await contentOf('batched')).toEqual(await contentOf('plain'));
    const large = await open('large');
    const answers = await large.addFlow(entries('large', 200));
    expect(answers.map(([error, id]) => error ?? id)).toEqual([
      'parent',
      ...Array.from({ length: 200 }, (_, n) => `child-${n}`),
    ]);
    expect(await large.getState('parent')).toBe('waiting-children');
    expect(await admin.scard(large.toKey('parent:dependencies'))).toBe(200);
  });
});

describe('jobs that end in one turn', () => {
  test('are committed by one command, which claims as many others', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 16);
    await backend.addJobs(['next-0', 'next-1'].map((id) => ({ job: job(id), jobId: id, parentKeyOpts: {} })));
    let results: Awaited<ReturnType<typeof backend.moveToCompleted>>[] = [];
    const count = await commandsOf(async () => {
      results = await Promise.all(
        jobs.map(({ id, token }) => backend.moveToCompleted(minimal(id), id, KEEP, token, true)),
      );
    });
    expect(count).toBe(1);
    expect(results.map(({ result }) => (result as unknown[] | undefined)?.[1])).toEqual([
      ...['next-0', 'next-1'],
      ...Array.from({ length: 14 }, () => results[2]?.result && (results[2].result as unknown[])[1]),
    ]);
    expect(await admin.zcard(backend.toKey('completed'))).toBe(16);
    expect(await admin.get(backend.toKey('next-1:lock'))).toBe('token-1');
    expect(await admin.hget(backend.toKey('job-3'), 'returnvalue')).toBe('"job-3"');
  });

  test('claim jobs with the records that BullMQ reads for a job alone', async () => {
    const backend = await open('batched');
    const texts = ['plain', 'quotes " and \\ and / and \n', 'ünï ✓ 😀', '\u0000\u2028', ''];
    const entries = texts.map((text, n) => ({
      job: job(
        `job-${n}`,
        { attempts: 3, priority: n },
        { data: JSON.stringify({ text }), name: text || 'x' },
      ),
      jobId: `job-${n}`,
      parentKeyOpts: {},
    }));
    await backend.addJobs(entries);
    const claimed = await Promise.all(texts.map((_, n) => backend.moveToActive(`token-${n}`, 'worker')));
    for (const [record, id] of claimed) {
      const stored = await backend.getJobData(String(id));
      expect(record).toEqual(stored);
      expect(Object.keys(record as object).length).toBeGreaterThan(10);
    }
    expect(new Set(claimed.map(([, id]) => id)).size).toBe(5);
    const none = await Promise.all([1, 2].map((n) => backend.moveToActive(`none-${n}`, 'worker')));
    expect(none.map(([record]) => record)).toEqual([null, null]);
  });

  test('claim a job whose record is gone, as BullMQ does alone', async () => {
    const answers: unknown[] = [];
    for (const isBatched of [true, false]) {
      const backend = await open(`gone-${isBatched}`, isBatched);
      await backend.addJobs(['a', 'b'].map((id) => ({ job: job(id), jobId: id, parentKeyOpts: {} })));
      await admin.del(backend.toKey('a'), backend.toKey('b'));
      const claims = await Promise.all([1, 2].map((n) => backend.moveToActive(`token-${n}`, 'worker')));
      answers.push(
        claims.map(([record]) => ({
          ...(record as object),
          processedOn: typeof (record as JobJson).processedOn,
        })),
      );
    }
    expect(answers[0]).toEqual(answers[1]);
  });

  test('fail one by one: a missing or a foreign lock, pending and failed children, no record, no longer active', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 8);
    const key = (index: number, suffix = '') => backend.toKey(`job-${index}${suffix}`);
    await admin.del(key(1, ':lock'));
    await admin.set(key(2, ':lock'), 'of another');
    await admin.sadd(key(3, ':dependencies'), 'a child');
    await admin.zadd(key(4, ':unsuccessful'), 1, 'a child');
    await admin.del(key(5));
    await admin.lrem(backend.toKey('active'), 0, 'job-6');
    const commits = jobs.map(({ id, token }) =>
      backend.moveToCompleted(minimal(id), '1', KEEP, token, false),
    );
    expect(
      (await outcomes(commits)).map((outcome) => (typeof outcome === 'number' ? outcome : 'stored')),
    ).toEqual([
      'stored',
      ErrorCode.JobLockNotExist,
      ErrorCode.JobLockMismatch,
      ErrorCode.JobPendingChildren,
      ErrorCode.JobHasFailedChildren,
      ErrorCode.JobNotExist,
      ErrorCode.JobNotInState,
      'stored',
    ]);
    expect(await admin.zrange(backend.toKey('completed'), '0', '-1')).toEqual(['job-0', 'job-7']);
  });

  test('fail one by one: a record that the script cannot read', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 3);
    await admin.hset(backend.toKey('job-1'), 'parent', '{ not JSON');
    const commits = jobs.map(({ id, token }) => backend.moveToFailed(minimal(id), 'no', KEEP, token, false));
    const [first, second, third] = await Promise.allSettled(commits);
    expect([first?.status, second?.status, third?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(String((second as PromiseRejectedResult).reason)).toContain('ERR');
    expect(await admin.zrange(backend.toKey('failed'), '0', '-1')).toEqual(['job-0', 'job-2']);
  });

  test('have the arguments that BullMQ gives them, also when their packed options are reused', async () => {
    const [batched, plain] = [await open('queue'), await open('queue', false)];
    type Arguments = { moveToFinishedArgs(...args: unknown[]): unknown[] };
    const argumentsOf = (backend: RedisQueueBackend, ...args: unknown[]) => [
      ...(backend as unknown as Arguments).moveToFinishedArgs(...args),
    ];
    const jobs = [
      {},
      { attempts: 3 },
      { continueParentOnFailure: true },
      { ignoreDependencyOnFailure: true },
    ];
    const all = jobs.flatMap((opts, n) =>
      [KEEP, { age: 1, count: 5 }, true, 0, undefined].flatMap((keep) =>
        ['one', 'other'].flatMap((token) => [
          [job(`c${n}`, opts), '"value"', 'returnvalue', keep, 'completed', token, 1000 + n, true],
          [job(`c${n}`, opts), undefined, 'returnvalue', keep, 'completed', token, 2000 + n, false],
          [
            job(`f${n}`, opts),
            'reason',
            'failedReason',
            keep,
            'failed',
            token,
            3000 + n,
            true,
            { stacktrace: '[]' },
          ],
          [job(`f${n}`, opts), 'reason', 'failedReason', keep, 'failed', token, 4000 + n],
        ]),
      ),
    );
    for (const args of [...all, ...all, ...all.toReversed()])
      expect(argumentsOf(batched, ...args)).toEqual(argumentsOf(plain, ...args));
  });

  test('reuse packed options of as many tokens as the worker runs jobs', async () => {
    const backend = await open('batched');
    type Hidden = { moveToFinishedArgs(...args: unknown[]): unknown[]; queue: { opts: object } };
    const hidden = backend as unknown as Hidden;
    Object.assign(hidden.queue.opts, { concurrency: 2 });
    const packed = (token: string) =>
      hidden.moveToFinishedArgs(minimal('a'), '1', 'returnvalue', KEEP, 'completed', token, 1000, true)[21];
    for (const token of ['a', 'b']) packed(token); // makes them
    const [a, b] = [packed('a'), packed('b')];
    expect(packed('a')).toBe(a);
    expect(packed('b')).toBe(b);
    packed('c'); // in place of the oldest
    expect(packed('b')).toBe(b);
    expect(packed('a')).not.toBe(a);
    expect(packed('a')).toEqual(a);
  });

  test('keep no memory but that of their arguments', async () => {
    const backend = await open('batched');
    Object.assign((backend as unknown as { queue: { opts: object } }).queue.opts, { concurrency: 1000 });
    const commit = (token: string) =>
      (backend as unknown as { moveToFinishedArgs(...args: unknown[]): unknown[] }).moveToFinishedArgs(
        ...[minimal('a'), '1', 'returnvalue', KEEP, 'completed', token, 1000, true],
      );
    const tokens = Array.from({ length: 1000 }, (_, n) => `token ${n}`);
    for (const token of tokens) commit(token);
    const packed = tokens.flatMap((token) => commit(token).filter((argument) => Buffer.isBuffer(argument)));
    expect(packed.length).toBeGreaterThanOrEqual(tokens.length);
    const held = new Set(packed.map(({ buffer }) => buffer));
    const bytes = [...held].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(bytes).toBe(packed.reduce((sum, { length }) => sum + length, 0));
  });

  test('can move to other states in the same command', async () => {
    const backend = await open('batched');
    const [a, b, c, d] = await claim(backend, 4);
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      throw new Error('not claimed');
    await admin.sadd(backend.toKey(`${c.id}:dependencies`), 'a child');
    const count = await commandsOf(() =>
      Promise.all([
        backend.moveToDelayed(a.id, Date.now(), 60_000, a.token),
        backend.retryJob(b.id, false, b.token),
        backend.moveToWaitingChildren(c.id, c.token),
        backend.moveToFailed(minimal(d.id), 'no', KEEP, d.token, false),
      ]),
    );
    expect(count).toBe(1);
    const states = await Promise.all([a, b, c, d].map(({ id }) => backend.getState(id)));
    expect(states).toEqual(['delayed', 'waiting', 'waiting-children', 'failed']);
  });
});

describe('a claimed job', () => {
  /** Claims one job. Returns its id, the moment of the next delayed job, and what else the store told. */
  const claimOne = async (backend: RedisQueueBackend, token = 'token') => {
    const [, id, , dueAt] = await backend.moveToActive(token, 'worker');
    return { id, dueAt, ...claimDetailsOf(backend).get(String(id)) };
  };
  const marker = (backend: RedisQueueBackend) => admin.zrange(backend.toKey('marker'), '0', '-1');

  test('is told to be the last one that waits, and wakes no other worker', async () => {
    const backend = await open('batched');
    await backend.addJobs(['a', 'b'].map((id) => ({ job: job(id), jobId: id, parentKeyOpts: {} })));
    expect((await claimOne(backend)).isLast).toBeUndefined();
    expect(await marker(backend)).toEqual(['0']);
    expect(await claimOne(backend)).toMatchObject({ id: 'b', isLast: true });
    expect(await marker(backend)).toEqual([]);
    await backend.addJob(job('c'), 'c');
    expect(await marker(backend)).toEqual(['0']);
  });

  test('is not the last one if one with a priority waits', async () => {
    const backend = await open('batched');
    await backend.addJob(job('a'), 'a');
    await backend.addJob(job('b', { priority: 3 }), 'b');
    expect((await claimOne(backend)).isLast).toBeUndefined();
    expect(await marker(backend)).toEqual(['0']);
    expect(await claimOne(backend)).toMatchObject({ id: 'b', isLast: true });
  });

  test('is not told to be the last one if the queue limits how many jobs run: adding one more may set no marker', async () => {
    const backend = await open('batched');
    await backend.setQueueMeta({ concurrency: 1 });
    await backend.addJob(job('a'), 'a');
    expect((await claimOne(backend)).isLast).toBeUndefined();
    await admin.del(backend.toKey('marker'));
    await backend.addJob(job('b'), 'b');
    expect(await marker(backend)).toEqual([]);
  });

  test('comes with the moment of the next delayed job, whose marker stays', async () => {
    const backend = await open('batched');
    const due = Date.now() + 60_000;
    await backend.addJob(job('later', { delay: 60_000 }, { timestamp: due - 60_000 }), 'later');
    await backend.addJob(job('a'), 'a');
    expect(await claimOne(backend)).toMatchObject({ id: 'a', isLast: true, dueAt: due });
    expect(await marker(backend)).toEqual(['1']);
  });

  test('that a commit hands out comes with the results of its children, if it is one of a workflow', async () => {
    const backend = await open('batched');
    for (const [parent, data] of [
      ['own', '{"umbel":1,"after":{"step":"0"}}'],
      ['foreign', '{}'],
    ] as const) {
      const queueKey = `${PREFIX}:batched`;
      const parentKey = `${queueKey}:${parent}`;
      const link = { parentKey, parentDependenciesKey: `${parentKey}:dependencies` };
      const child = `${parent}-child`;
      await backend.addJob(job(parent, {}, { data }), parent, { addToWaitingChildren: true });
      await backend.addJob(job(child, {}, { parent: { id: parent, queueKey }, parentKey }), child, link);
      await backend.moveToActive('token', 'worker');
      const { result } = await backend.moveToCompleted(minimal(child), { a: 'é"' }, KEEP, 'token', true);
      expect((result as unknown[])[1]).toBe(parent);
      const stored = Object.entries(await backend.getProcessedChildrenValues(parent)).flat();
      expect(stored).toEqual([`${queueKey}:${child}`, '{"a":"é\\""}']);
      expect(claimDetailsOf(backend).get(parent)).toEqual({
        childResults: parent === 'own' ? stored : undefined,
        ...(parent === 'own' && { noneFailed: true }),
        isLast: true,
      });
      await backend.moveToCompleted(minimal(parent), '1', KEEP, 'token', false);
    }
  });

  test('with the results of its children does not say that none has failed if one has', async () => {
    const backend = await open('batched');
    await backend.addJob(job('parent', {}, { data: '{"umbel":1,"after":{"step":"0"}}' }), 'parent');
    await admin.hset(backend.toKey('parent:processed'), 'child', '1');
    await admin.hset(backend.toKey('parent:failed'), 'other', 'no');
    await backend.moveToActive('token', 'worker');
    expect(claimDetailsOf(backend).get('parent')).toEqual({ childResults: ['child', '1'], isLast: true });
  });

  test('with many children, or after large results, reads them by itself', async () => {
    const backend = await open('batched');
    const data = '{"umbel":1,"after":{"step":"0"}}';
    const details = async (count: number, length: number) => {
      const ids = ['a', 'b'].map((id) => `${id}-${count}-${length}`);
      for (const id of ids) {
        await backend.addJob(job(id, {}, { data }), id);
        for (let n = 0; n < count; n += 1)
          await admin.hset(
            backend.toKey(`${id}:processed`),
            `child-${n}`,
            JSON.stringify('x'.repeat(length)),
          );
      }
      await Promise.all(ids.map((id) => backend.moveToActive(id, 'worker')));
      return ids.map((id) => claimDetailsOf(backend).get(id)?.childResults?.length);
    };
    expect(await details(64, 1)).toEqual([128, 128]);
    expect(await details(65, 1)).toEqual([undefined, undefined]);
    expect(await details(1, 300_000)).toEqual([2, undefined]);
  });
});

describe('calls have a command each', () => {
  const addThree = (backend: RedisQueueBackend) =>
    Promise.all(['a', 'b', 'c'].map((id) => backend.addJob(job(id), id)));

  test('on Dragonfly, whose scripts must declare their keys', async () => {
    const backend = await open('plain');
    Object.defineProperty(backend, 'databaseType', { value: 'dragonfly' });
    expect(await commandsOf(() => addThree(backend))).toBe(3);
  });

  test('of a client other than ioredis, whose scripts are unknown', async () => {
    const backend = await open('plain');
    const known = await backend.client;
    const client = new Proxy(known, {
      has: (target, name) => name !== 'scriptsSet' && name in target,
      get: (target, name) => (name === 'scriptsSet' ? undefined : Reflect.get(target, name, target)),
    });
    Object.defineProperty(backend.connection, 'client', { value: Promise.resolve(client) });
    expect(await commandsOf(() => addThree(backend))).toBe(3);
    expect(await backend.addJobs([{ job: job('d'), jobId: 'd', parentKeyOpts: {} }])).toEqual(['d']);
  });
});

describe('a command that fails', () => {
  test('in a full store fails each call, and each may be repeated', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 4);
    await admin.config('SET', 'maxmemory', '1');
    const commit = () =>
      jobs.map(({ id, token }) => backend.moveToCompleted(minimal(id), '1', KEEP, token, false));
    for (const call of await Promise.allSettled([...commit(), backend.addJob(job('x'), 'x')]))
      expect(String((call as PromiseRejectedResult).reason)).toMatch(/OOM/);
    expect(await admin.lrange(backend.toKey('active'), 0, -1)).toHaveLength(4);
    await admin.config('SET', 'maxmemory', '0');
    await Promise.all(commit());
    expect(await admin.zcard(backend.toKey('completed'))).toBe(4);
  });

  test('with its connection fails each call', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 3);
    const commits = jobs.map(({ id, token }) =>
      backend.moveToCompleted(minimal(id), '1', KEEP, token, false),
    );
    await backend.disconnect();
    for (const call of await Promise.allSettled(commits))
      expect(String((call as PromiseRejectedResult).reason)).toMatch(/Connection is closed|closed/);
  });

  test('because the store has lost its scripts is sent again with their text', async () => {
    const backend = await open('batched');
    const jobs = await claim(backend, 3);
    await admin.script('FLUSH');
    await Promise.all(
      jobs.map(({ id, token }) => backend.moveToCompleted(minimal(id), '1', KEEP, token, false)),
    );
    expect(await admin.zcard(backend.toKey('completed'))).toBe(3);
  });
});

test('calls that are under way when the backend closes are sent before', async () => {
  const backend = await open('batched');
  const calls = ['a', 'b'].map((id) => backend.addJob(job(id), id));
  await backend.client;
  await new Promise<void>((resolve) => process.nextTick(resolve));
  await backend.close();
  expect(await Promise.all(calls)).toEqual(['a', 'b']);
});

test('no command holds the store long: 10,000 jobs of 1 KB that are added, and some that are run', async () => {
  const backend = await open('batched');
  const data = JSON.stringify({ text: 'x'.repeat(1000) });
  const ids = Array.from({ length: 10_000 }, (_, n) => `job-${n}`);
  const adding = await scriptsOf(admin, async () => {
    for (let at = 0; at < ids.length; at += 500)
      await backend.addJobs(
        ids.slice(at, at + 500).map((id) => ({ job: job(id, {}, { data }), jobId: id, parentKeyOpts: {} })),
      );
  });
  const tokens = ids.slice(0, 100).map((_, n) => `token-${n}`);
  const running = await scriptsOf(admin, async () => {
    let jobs: unknown[][] = await Promise.all(tokens.map((token) => backend.moveToActive(token, 'worker')));
    for (let ended = 0; ended < 2000; ended += jobs.length) {
      const results = await Promise.all(
        jobs.map(([, id], n) =>
          backend.moveToCompleted(minimal(String(id)), data, KEEP, tokens[n] ?? '', true),
        ),
      );
      jobs = results.map(({ result }) => (Array.isArray(result) ? result : []));
    }
  });
  expect([adding.count, running.count]).toEqual([160, 7 + 20 * 7]);
  expect(adding.meanMs).toBeLessThan(10);
  expect(running.meanMs).toBeLessThan(10);
  expect(await admin.zcard(backend.toKey('completed'))).toBe(2000);
});
