import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  type App,
  type AsyncResult,
  createApp,
  defineTask,
  type Middleware,
  TaskFailedError,
} from '@umbel/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { onEveryEngine } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { quickly } from '../../../../test/support/quick-packages.js';

const soon = { timeout: '50s' } as const;
const soonMs = { timeout: 20_000 };
const folder = fileURLToPath(new URL('./isolated', import.meta.url));
/** A module of tasks. */
const fixture = (name: string) => new URL(name, pathToFileURL(`${quickly(folder)}/`));
const isolate = fixture('tasks.mjs');

/** The handlers that are to run are in the fixture. */
const notHere = (): Promise<string | number> => Promise.reject(new Error('ran in the worker'));

const pidTask = (app: App) => app.task({ name: 'pid', isolate, run: async (): Promise<number> => -1 });

/** A task of one crash, told by a header how to crash. */
const crashTask = (app: App, attempts: number) =>
  app.task({ name: 'crash', isolate, retry: { attempts, delay: 1, jitter: false }, run: notHere });

async function failureOf(result: AsyncResult<unknown>): Promise<TaskFailedError> {
  const error = await result.get(soon).then(
    (value) => new Error(`it gave ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof TaskFailedError)) throw error;
  return error;
}

/** The first value that the handler reports. */
async function reported(result: AsyncResult<unknown>): Promise<unknown> {
  for await (const value of result.progress(soon)) return value;
  throw new Error('the job ended without a report');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const isGone = (pid: number) => vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });

/** Removed when the test has ended. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'umbel-isolated-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Starts a process that prints the id of its child; gives both. */
async function parentOf(program: string): Promise<{ parent: ChildProcess; pid: number }> {
  const parent = spawn(process.execPath, [join(folder, program)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  const pid = Number(line);
  onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
  return { parent, pid };
}

onEveryEngine(
  'an isolated task',
  (engine) => {
    describe('whose child runs one job after the other', () => {
      const added: Middleware<{ tenant: object; client: object }> = {
        run: (_ctx, next) => next({ tenant: { id: 7 }, client: { query: () => [] } }),
      };
      let app: App;
      let pid: ReturnType<typeof pidTask>;

      // One worker for these tests, so that its child is started once.
      beforeAll(async () => {
        app = createApp({
          name: `isolated-${randomUUID()}`,
          connection: engine.newConnection(),
          middleware: [added],
          logger: { info() {}, warn() {}, error() {} },
        }) as App;
        pid = pidTask(app); // a worker serves the queues of the tasks that are defined when it starts
        await app.worker({ concurrency: 1 }).start();
      });

      afterAll(() => app.close());

      test('runs in a child process, which the next job of the same module gets too', async () => {
        const first = await (await pid.delay()).get(soon);
        const second = await (await pid.delay()).get(soon);
        expect(isAlive(first)).toBe(true);
        expect([process.pid, -1]).not.toContain(first);
        expect(second).toBe(first);
      });

      test('decodes its input in the child, and its result is encoded in the worker', async () => {
        const day = app.task({
          name: 'day',
          isolate,
          input: z.object({ at: z.string().transform((text) => new Date(text)) }),
          output: z.date().transform((date) => date.toISOString()),
          run: async (): Promise<Date> => new Date(0),
        });
        const result = await day.delay({ at: '2030-05-17T13:30:00Z' });
        expect(await result.get(soon)).toBe('2030-05-17T00:00:00.000Z');
      });

      test('is implemented for a contract, too', async () => {
        const contract = defineTask({ name: 'implemented', output: z.number() });
        const implemented = app.implement(contract, async () => -1, { isolate });
        expect(await (await implemented.delay()).get(soon)).toBeGreaterThan(0);
      });

      test('is given its context, with what middleware adds as far as it is plain data', async () => {
        const context = app.task({ name: 'context', isolate, run: notHere });
        const result = await context.applyAsync(undefined, { headers: { trace: 't1' } });
        expect(await result.get(soon)).toEqual({
          id: result.id,
          name: 'context',
          queue: 'default',
          attempt: 1,
          rootId: result.id,
          headers: { trace: 't1' },
          idempotencyKey: result.id,
          tenant: { id: 7 },
          client: expect.stringContaining('ctx.client was added by middleware'),
          aborted: false,
          slept: expect.toSatisfy((ms: number) => ms >= 19),
          sentBefore: expect.toSatisfy((ms: number) => ms >= 0 && ms < 20_000),
        });
      });

      test('reports progress, states and log lines, checked and masked by the worker', async () => {
        const end = join(temporaryFolder(), 'end');
        const report = app.task({
          name: 'report',
          isolate,
          input: z.object({ end: z.string(), secret: z.string() }),
          progress: z.object({ done: z.number().transform((done) => done * 10) }),
          states: ['copying'],
          sensitive: ['secret'],
          run: notHere,
        });
        const result = await report.delay({ end, secret: 'tomato soup' });
        expect(await reported(result)).toEqual({ done: 50 });
        await vi.waitFor(async () => expect(await result.state()).toBe('copying'), { timeout: 10_000 });
        writeFileSync(end, '');
        expect(await result.get(soon)).toEqual([
          'ValidationError',
          'progress.done',
          'InvalidOptionError',
          'INVALID_OPTION',
        ]);
        expect(await result.logs()).toEqual([
          expect.stringMatching(/^\S+Z warn key \*\*\* \{"part":1\}$/),
          expect.stringMatching(/^\S+Z info halfway Error: not bad$/),
        ]);
      });

      test('cannot report once its attempt is over', async () => {
        const late = app.task({ name: 'late', isolate, run: notHere });
        expect(await (await late.delay()).get(soon)).toBe('first');
        const second = await late.delay();
        expect(await second.get(soon)).toBe('JobStateError');
      });

      test('fails as its context says: declared, for another attempt, for good', async () => {
        const retry = { attempts: 3, delay: 1, jitter: false } as const;
        const failures = { soldOut: z.object({ left: z.number() }) };
        const fail = app.task({ name: 'fail', isolate, retry, failures, run: notHere });
        const again = app.task({ name: 'retry', isolate, retry: { attempts: 3, delay: '1h' }, run: notHere });
        const hopeless = app.task({ name: 'hopeless', isolate, retry, run: notHere });
        const failed = await fail.delay();
        expect(await failed.outcome(soon)).toMatchObject({
          ok: false,
          failure: 'soldOut',
          data: { left: 2 },
        });
        expect((await failed.info()).attempts).toBe(1);
        expect(await (await again.delay()).get(soon)).toBe(3);
        for (const [by, name, code] of [
          ['reject', 'RejectedError', 'REJECTED'],
          ['throw', 'Hopeless', 'UNRECOVERABLE'],
        ] as const) {
          const result = await hopeless.applyAsync(undefined, { headers: { by } });
          expect((await failureOf(result)).cause).toMatchObject({ name, code });
          expect((await result.info()).attempts).toBe(1);
        }
      });

      test('fails with what its handler throws, with its stack and its causes', async () => {
        const seen: unknown[] = [];
        const thrower = app.task({
          name: 'throw',
          isolate,
          hooks: { failure: (_ctx, error) => void seen.push(error) },
          run: notHere,
        });
        const { cause } = await failureOf(await thrower.delay());
        expect(cause).toBeInstanceOf(TypeError);
        expect(cause).toMatchObject({
          message: 'cannot read it',
          stack: expect.stringContaining('tasks.mjs'),
          cause: { message: 'no such file', code: 'ENOENT', path: '/a' },
        });
        const inner = (cause.cause as Error).cause as AggregateError;
        expect(inner.errors).toMatchObject([
          { name: 'Unreadable', message: 'a' },
          { name: 'Unreadable', message: 'b' },
        ]);
        expect(seen).toMatchObject([{ name: 'TypeError', cause: { code: 'ENOENT' } }]);
      });

      test('is not ended by signals that reach the whole group of its worker', async () => {
        const signals = app.task({ name: 'signals', isolate, run: notHere });
        expect(await (await signals.delay()).get(soon)).toBe('alive');
      });
    });

    test('fails when it gives what JSON or its process cannot carry', async () => {
      const app = engine.app();
      const input = z.enum(['function', 'url', 'map']);
      const give = app.task({ name: 'give', isolate, input, run: notHere });
      const opaque = app.task({ name: 'opaque', isolate, run: notHere });
      const fail = app.task({ name: 'fail', isolate, run: notHere });
      await app.worker().start();
      for (const [kind, message] of [
        ['function', 'result: JSON cannot carry a function'],
        ['url', 'result: JSON cannot carry a URL'],
        ['map', 'result: JSON cannot carry a Map'],
      ] as const) {
        const { cause } = await failureOf(await give.delay(kind));
        expect(cause).toMatchObject({ name: 'ValidationError', subject: 'result' });
        expect(cause.message).toContain(message);
      }
      const lost = 'it cannot leave the child process: () => 1 could not be cloned';
      expect((await failureOf(await opaque.delay())).cause.message).toContain(`result: ${lost}`);
      const failed = await fail.applyAsync(undefined, { headers: { by: 'function' } });
      expect((await failureOf(failed)).cause).toMatchObject({ name: 'ValidationError', subject: 'failure' });
    });

    test('that blocks is killed at its timeout, and the worker runs the next job', async () => {
      const app = engine.app();
      const spin = app.task({ name: 'spin', isolate, timeout: '1s', run: notHere });
      const pid = pidTask(app);
      await app.worker({ concurrency: 1 }).start();
      const child = await (await pid.delay()).get(soon);
      const blocked = await spin.delay();
      const next = await pid.delay();
      expect(await reported(blocked)).toBe(child);
      expect((await failureOf(blocked)).cause).toMatchObject({
        name: 'TimeLimitError',
        message: expect.stringContaining('its timeout of 1000 ms'),
      });
      expect(await next.get(soon)).not.toBe(child);
      await isGone(child);
    });

    test('has its whole timeout for its handler, and not for the start of its child', async () => {
      const app = engine.app();
      const slow = fixture('slow.mjs?ms=1500').href;
      const pid = app.task({ name: 'pid', isolate: slow, timeout: '1s', run: notHere });
      const sleep = app.task({ name: 'sleep', isolate: slow, timeout: '1s', run: notHere });
      await app.worker({ concurrency: 1 }).start();
      expect(await (await pid.delay()).get(soon)).not.toBe(process.pid);
      // In the child that has been loaded, and again in a new one.
      for (const result of [await sleep.delay(), await sleep.delay()])
        expect((await failureOf(result)).cause).toMatchObject({ name: 'TimeLimitError' });
    });

    test('that is given up while its child starts ends at once', async () => {
      const app = engine.app();
      const pid = app.task({ name: 'pid', isolate: fixture('slow.mjs?ms=3600000').href, run: notHere });
      await app.worker().start();
      const result = await pid.delay();
      await vi.waitFor(async () => expect(await result.state()).toBe('active'), soonMs);
      await result.revoke({ terminate: true });
      expect(await failureOf(result)).toMatchObject({ state: 'revoked' });
    });

    test('that blocks is killed when it is revoked with terminate', async () => {
      const app = engine.app();
      const spin = app.task({ name: 'spin', isolate, run: notHere });
      const pid = pidTask(app);
      await app.worker({ concurrency: 1 }).start();
      const blocked = await spin.delay();
      const blockedPid = Number(await reported(blocked));
      expect(await blocked.revoke({ terminate: true })).toBe(true);
      expect(await failureOf(blocked)).toMatchObject({ state: 'revoked', cause: { name: 'RevokedError' } });
      expect(await (await pid.delay()).get(soon)).not.toBe(blockedPid);
      await isGone(blockedPid);
    });

    test('fails when its child exits, dies or catches nothing; each is retried in a new child', async () => {
      const app = engine.app();
      const crash = crashTask(app, 2);
      await app.worker({ concurrency: 1 }).start();
      for (const by of ['exit', 'signal', 'uncaught']) {
        const result = await crash.applyAsync(undefined, { headers: { by } });
        expect(await result.get(soon)).toBe(2);
      }
    });

    test('whose child ends too early has an error that says how', async () => {
      const app = engine.app();
      const crash = crashTask(app, 1);
      await app.worker({ concurrency: 1 }).start();
      const errorOf = async (by: string) =>
        (await failureOf(await crash.applyAsync(undefined, { headers: { by } }))).cause;
      expect(await errorOf('exit')).toMatchObject({
        name: 'ChildProcessError',
        code: 'CHILD_PROCESS',
        message: expect.stringMatching(
          /^The child process of task "crash" ended before .*\(exit code 3; pid \d+/,
        ),
      });
      expect((await errorOf('signal')).message).toContain('(signal SIGKILL; pid');
      expect(await errorOf('uncaught')).toMatchObject({
        message: expect.stringMatching(/\(exit code 1; .*: nobody caught me$/),
        cause: { name: 'RangeError', stack: expect.stringContaining('tasks.mjs') },
      });
    });

    test('of a module that cannot be loaded, or does not define it, names both', async () => {
      const app = engine.app();
      const define = (name: string, module: URL | string) =>
        app.task({ name, isolate: module, retry: { attempts: 2, delay: 1 }, run: notHere });
      const tasks = [
        define('broken', fixture('broken.mjs')),
        define('absent', fixture('absent.mjs')),
        define('unknown', isolate),
        define('tick', fixture('starts-worker.mjs')),
      ];
      await app.worker().start();
      const errors = await Promise.all(
        tasks.map(async (task) => (await failureOf(await task.delay())).cause),
      );
      for (const error of errors) expect(error).toMatchObject({ name: 'ChildProcessError' });
      const [broken, absent, unknown, tick] = errors.map(({ message }) => message);
      expect(broken).toContain(`${fixture('broken.mjs')} of task "broken" cannot be loaded`);
      expect(broken).toContain('the licence has expired');
      expect(errors[0]?.cause).toMatchObject({ message: 'the licence has expired' });
      expect(absent).toContain(`${fixture('absent.mjs')} of task "absent" cannot be loaded`);
      expect(unknown).toContain(`${isolate} does not define task "unknown" of app "${app.name}"`);
      expect(unknown).toContain('"pid" of app "isolated"');
      expect(tick).toContain('A worker was started by a module that an isolated task is loaded from');
    });

    test('leaves no child behind when its app is closed', async () => {
      const app = engine.app();
      const pid = pidTask(app);
      await app.worker().start();
      const child = await (await pid.delay()).get(soon);
      expect(isAlive(child)).toBe(true);
      await app.close();
      expect(isAlive(child)).toBe(false);
    });

    test('can end its process in order', async () => {
      const file = join(temporaryFolder(), 'ended');
      const app = engine.app();
      const noteExit = app.task({ name: 'note-exit', isolate, input: z.string(), run: notHere });
      await app.worker().start();
      await (await noteExit.delay(file)).get(soon);
      await app.close();
      expect(existsSync(file)).toBe(true);
    });

    test('is killed with its worker when that is forced to close', async () => {
      const app = engine.app();
      const told: string[] = [];
      const hooks = { failure: () => void told.push('failure'), always: () => void told.push('always') };
      const spin = app.task({ name: 'spin', isolate, hooks, run: notHere });
      const worker = await app.worker().start();
      const blocked = await spin.delay();
      const blockedPid = Number(await reported(blocked));
      await worker.close({ force: true });
      expect(isAlive(blockedPid)).toBe(false);
      expect(await blocked.state()).toBe('delayed'); // given back, to run again elsewhere
      expect(told).toEqual([]);
    });

    test('of another module takes the place of an idle child when its worker has no more', async () => {
      const app = engine.app();
      const pid = pidTask(app);
      const spin = app.task({ name: 'spin', isolate: new URL('?other', isolate), run: notHere });
      await app.worker({ concurrency: 1 }).start();
      const first = await (await pid.delay()).get(soon);
      const blocked = await spin.delay();
      expect(await reported(blocked)).not.toBe(first);
      await isGone(first);
      await blocked.revoke({ terminate: true });
    });

    test('of each queue has a child, of which no more are kept than run in one queue', async () => {
      const app = engine.app({ queues: ['default', 'other'] });
      const wait = app.task({ name: 'wait', isolate, input: z.string(), run: notHere });
      await app.worker({ concurrency: 1, queues: ['default', 'other'] }).start();
      const end = join(temporaryFolder(), 'end');
      const jobs = [await wait.delay(end), await wait.applyAsync(end, { queue: 'other' })];
      const pids = (await Promise.all(jobs.map(reported))).map(Number);
      expect(pids.map(isAlive)).toEqual([true, true]);
      writeFileSync(end, '');
      await Promise.all(jobs.map((job) => job.get(soon)));
      await vi.waitFor(() => expect(pids.filter(isAlive)).toHaveLength(1), { timeout: 10_000 });
    });
  },
  sized(['redis'], ['memory']),
);

describe('an isolated task', () => {
  test('that blocks does not outlive a worker that is killed', async () => {
    const { parent, pid } = await parentOf('parent.mjs');
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await isGone(pid);
  });

  test('keeps no process alive with its idle child', async () => {
    const { parent, pid } = await parentOf('idle.mjs');
    expect(await once(parent, 'exit')).toEqual([0, null]);
    await isGone(pid);
  });
});
