/** Workers of several processes, as real programs. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type App, type AsyncResult, createApp, defineTask, type WorkerOptions } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { z } from 'zod';
import { memory } from '../../../../test/engines.js';
import { sized } from '../../../../test/support/length.js';
import { quickly } from '../../../../test/support/quick-packages.js';
import { startRedis } from '../../../../test/support/redis-server.js';
import { isLogged, type ProgramEvent, WorkerProgram } from '../support/worker-program.js';

const file = quickly(fileURLToPath(new URL('./processes/program.mjs', import.meta.url)));

interface Setting {
  workers?: WorkerOptions[];
  /** Each process ends soon after it has begun to take jobs. */
  crash?: boolean;
  /** Something else of the program listens for this signal. */
  onSignal?: NodeJS.Signals;
  /** The process that cannot load the program. */
  failsIn?: number;
  /** The worker gives metrics. */
  measured?: boolean;
}

vi.setConfig({ testTimeout: 300_000 });

const contract = defineTask({
  name: 'work',
  input: z.object({
    n: z.number(),
    until: z.string().optional(),
    exit: z.number().optional(),
    blocks: z.boolean().optional(),
  }),
  output: z.number(),
});

describe('a worker of several processes', () => {
  let folder: string;
  let app: App;
  const programs: WorkerProgram[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-processes-'));
    app = createApp({
      name: `processes-${randomUUID()}`,
      connection: inject('redisUrl'),
      queues: ['other', 'more'],
    });
  });

  afterEach(async () => {
    await Promise.all(programs.splice(0).map((program) => program.kill()));
    await app.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function start(setting: Setting, url = inject('redisUrl')): WorkerProgram {
    const program = new WorkerProgram([file, url, app.name, JSON.stringify(setting)]);
    programs.push(program);
    return program;
  }

  /** A program whose worker has two processes with a place each; once it runs. */
  async function running(options: WorkerOptions = {}, setting: Setting = {}): Promise<WorkerProgram> {
    const workers = [{ processes: 2, concurrency: 1, lockDuration: '1s', ...options } as const];
    const program = start({ workers, ...setting });
    await started(program);
    return program;
  }

  const started = (program: WorkerProgram) =>
    program.event('start', ({ started: number, index }) => number === 0 && index === null);

  const work = () => app.bind(contract);

  const gate = () => join(folder, randomUUID());
  const open = (path: string) => writeFileSync(path, '');
  const began =
    (n: number, attempt = 1) =>
    (event: ProgramEvent) =>
      event.began === n && event.attempt === attempt;

  /** These were given back: another worker has them at once, before their locks would have run out. */
  async function runElsewhere(results: readonly AsyncResult<number>[]): Promise<void> {
    for (const result of results) expect(await result.state()).not.toBe('active');
    app.implement(contract, async () => 0);
    await app.worker().start();
    for (const result of results) expect(await result.get()).toBe(0);
  }

  async function untilGone(pid: number): Promise<void> {
    await expect.poll(() => isAlive(pid), { timeout: 15_000 }).toBe(false);
  }

  describe('reports as one', () => {
    test('its metrics are those of all its processes', async () => {
      const program = await running({ health: { port: 0, host: '127.0.0.1' } }, { measured: true });
      const until = gate();
      const results = await Promise.all([1, 2, 3].map((n) => work().delay({ n, until })));
      await program.eventsOf('two jobs', 2, (event) => 'began' in event);
      const port = await program.call('healthPort');
      const text = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      await expect.poll(text).toMatch(/^umbel_active\{.*queue="default".*\} 2$/m);
      expect(await text()).toMatch(/^umbel_concurrency\{.*queue="default".*\} 2$/m);
      open(until);
      await Promise.all(results.map((result) => result.get()));
      await expect.poll(text).toMatch(/^umbel_attempts_total\{.*state="completed".*\} 3$/m);
    });

    test('it is one worker with several processes to whoever inspects it, and tells how much it runs at once', async () => {
      const program = await running({ name: 'both', concurrency: 3 });
      await expect.poll(() => app.inspect.workers()).toHaveLength(1);
      const [worker] = await app.inspect.workers();
      expect(worker).toMatchObject({
        name: 'both',
        state: 'online',
        queues: { default: { concurrency: 6, active: 0 } },
      });
      expect(worker?.processes).toHaveLength(2);
      await expect.poll(() => program.call('concurrency')).toMatchObject({ default: 6 });
    });

    test('an order to shut down ends all its processes, and the program', async () => {
      const program = await running({ name: 'both' });
      const { answers, missing } = await app.control.shutdown({ workers: ['both'], timeout: '5s' });
      expect([Object.keys(answers).sort(), missing]).toEqual([['both#0', 'both#1'], []]);
      await program.event('end', ({ closed, index }) => closed === 'control' && index === null);
      await program.call('close'); // so that it waits for its input no more
      expect(await program.exit()).toBe(0);
    });

    test('its jobs are spread over processes, of which the first takes none', async () => {
      const program = await running({ name: 'both', health: { port: 0, host: '127.0.0.1' } });
      const until = gate();
      const task = work();
      const results = await Promise.all([1, 2].map((n) => task.delay({ n, until })));
      const events = await program.eventsOf('two jobs', 2, (event) => 'began' in event);
      expect(events.map(({ index }) => index).sort()).toEqual([0, 1]);
      await expect.poll(() => program.call('active')).toHaveLength(2);
      expect(await program.call('active')).toEqual(
        expect.arrayContaining(
          results.map(({ id }) =>
            expect.objectContaining({ id, task: 'work', queue: 'default', attempt: 1 }),
          ),
        ),
      );
      expect(await program.call('health')).toEqual({ live: true, ready: true, reasons: [] });
      open(until);
      const pids = await Promise.all(results.map((result) => result.get()));
      expect(pids.sort()).toEqual(events.map(({ pid }) => pid).sort());
      expect(pids).not.toContain(program.pid);
      await expect.poll(() => program.call('counts')).toMatchObject({ completed: 2 });
      const starts = program.events.filter((event) => 'started' in event);
      expect(starts.map(({ name }) => name)).toEqual(['both', 'both', 'both']);
      expect(starts.map(({ own, isSupervisor }) => [own, isSupervisor])).toEqual(
        expect.arrayContaining([
          [null, true],
          [0, false],
          [1, false],
        ]),
      );
      // The one server answers for all.
      const ports = starts.map(({ index, healthPort }) => [index, healthPort]);
      const port = await program.call('healthPort');
      expect(ports).toEqual(
        expect.arrayContaining([
          [null, port],
          [0, null],
          [1, null],
        ]),
      );
      const response = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect([response.status, await response.json()]).toEqual([
        200,
        { live: true, ready: true, reasons: [] },
      ]);
      expect(await program.call('close')).toBe(null);
      expect(await program.exit()).toBe(0);
    });

    test('what is changed holds for all processes, also for later ones', async () => {
      const program = await running({ queues: ['default'] });
      await program.call('setConcurrency', 2);
      await program.call('addQueue', 'other', 1);
      expect(await program.call('queues')).toEqual(['default', 'other']);
      expect(await program.call('setConcurrency', 0)).toBe('InvalidOptionError');
      expect(await program.call('addQueue', 'unheard')).toBe('UnknownQueueError');
      expect(await program.call('removeQueue', 'more')).toBe('UnknownQueueError');
      const task = work();
      const crash = await task.delay({ n: 0, exit: 1, until: gate() });
      await program.logged(/another one is started at once/);
      await crash.get();
      const until = gate();
      const default5 = [1, 2, 3, 4, 5].map((n) => task.delay({ n, until }));
      const other3 = [11, 12, 13].map((n) => task.applyAsync({ n, until }, { queue: 'other' }));
      // Two of the one queue and one of the other in each process.
      await expect.poll(() => program.call('active'), { timeout: 10_000 }).toHaveLength(6);
      const removed = program.call('removeQueue', 'other');
      await expect.poll(() => program.call('concurrency'), { timeout: 10_000 }).toEqual({ default: 4 });
      open(until);
      await removed;
      await Promise.all(default5.map(async (sent) => (await sent).get()));
      const states = await Promise.all(other3.map(async (sent) => (await sent).state()));
      expect(states.sort()).toEqual(['completed', 'completed', 'waiting']);
    });
  });

  describe('goes on', () => {
    const crashes = [
      ['ends itself', undefined, 'ended with code 3'],
      ['is killed', 'SIGKILL', 'was ended by SIGKILL'],
    ] as const;
    test.each(crashes)('when one process %s: the others are not disturbed', async (_, signal, words) => {
      const program = await running();
      const task = work();
      const [untilFirst, untilCrash] = [gate(), gate()];
      const undisturbed = await task.delay({ n: 1, until: untilFirst });
      const { pid } = await program.event('first job', began(1));
      await expect.poll(() => program.call('active')).toHaveLength(1);
      const until = { until: untilCrash };
      const crashed = await task.delay({ n: 2, ...until, ...(signal === undefined && { exit: 3 }) });
      const lost = await program.event('second job', began(2));
      expect(lost.pid).not.toBe(pid);
      if (signal !== undefined) process.kill(lost.pid, signal);
      await program.logged(
        new RegExp(
          `process ${lost.index} of worker .* \\(pid ${lost.pid}\\) ${words}.*another one is started at once`,
        ),
      );
      open(untilCrash);
      const replacement = await program.event(
        'replacement',
        (event) => event.started === 0 && event.index === lost.index && event.pid !== lost.pid,
      );
      expect(await crashed.get({ timeout: '50s' })).toBe(replacement.pid);
      expect(await program.call('health')).toEqual({ live: true, ready: true, reasons: [] });
      open(untilFirst);
      expect(await undisturbed.get()).toBe(pid);
      expect(program.events.filter(began(1))).toHaveLength(1);
    });

    test('when one process has run its jobs: another one takes over before it has ended', async () => {
      const program = await running({ processes: 2, concurrency: 2, maxJobs: 1 });
      const task = work();
      const until = gate();
      const long = await Promise.all([1, 2].map((n) => task.delay({ n, until })));
      const [first, second] = await program.eventsOf('two jobs', 2, (event) => 'began' in event);
      const olds = new Set([first?.pid, second?.pid]);
      const later = new Set<number>();
      // A process may take one more job before it is seen to have run enough.
      for (let n = 10; later.size < 2 && n < 100; n += 1) {
        const pid = await (await task.delay({ n })).get({ timeout: '50s' });
        if (!olds.has(pid)) later.add(pid);
      }
      expect(later.size).toBe(2);
      expect([...olds].every((pid) => pid !== undefined && isAlive(pid))).toBe(true);
      expect(program.events.filter((event) => event.ended === 1 || event.ended === 2)).toEqual([]);
      open(until);
      const ended = await Promise.all(long.map((result) => result.get()));
      expect(new Set(ended)).toEqual(olds);
      await Promise.all(ended.map(untilGone));
      await expect.poll(() => program.call('counts')).toMatchObject({ returned: 0, lost: 0 });
    });

    test('when one process is told to end by a signal', async () => {
      const program = await running();
      const task = work();
      const until = gate();
      const result = await task.delay({ n: 1, until });
      const { pid, index } = await program.event('job', began(1));
      process.kill(pid, 'SIGTERM');
      await program.event(
        'replacement',
        (event) => event.started === 0 && event.index === index && event.pid !== pid,
      );
      open(until);
      expect(await result.get()).toBe(pid);
      await untilGone(pid);
      expect(await program.call('state')).toBe('running');
    });

    test('with growing waits when every process ends soon', async () => {
      const program = start({ workers: [{ processes: 1, watch: [folder] }], crash: true });
      await program.logged('ended with code 9; another one is started at once');
      await program.logged('ended with code 9; another one is started in 1 s');
      const waiting = program.call('health');
      await program.logged('ended with code 9; another one is started in 2 s');
      expect(await waiting).toMatchObject({ live: true, ready: false });
      program.signal('SIGTERM'); // also while nothing runs
      expect(await program.exit()).toBe(0);
    });
  });

  describe('ends', () => {
    const soft = [
      ['SIGTERM', 'first'],
      ['SIGTERM', 'all'],
      ['SIGINT', 'first'],
      ['SIGINT', 'all'],
    ] as const;
    test.each(sized<readonly (typeof soft)[number][]>(soft.slice(1, 3), soft))(
      'by %s to %s of its processes, once running jobs have ended',
      async (signal, to) => {
        const program = await running();
        const task = work();
        const until = gate();
        const results = await Promise.all([1, 2, 3].map((n) => task.delay({ n, until })));
        await program.eventsOf('two jobs', 2, (event) => 'began' in event);
        program.signal(signal, to);
        await program.logged(`${signal}: worker`);
        await expect
          .poll(() => program.call('health'))
          .toMatchObject({
            reasons: [
              'the worker is closing',
              'process 0: the worker is closing',
              'process 1: the worker is closing',
            ],
          });
        open(until);
        expect(await program.exit()).toBe(0);
        const ended = program.events.filter((event) => 'ended' in event);
        expect(ended).toHaveLength(2);
        expect(program.events.filter((event) => 'began' in event)).toHaveLength(2);
        expect(program.events.some((event) => isLogged(event, 'returned'))).toBe(false);
        app.implement(contract, async () => 0);
        await app.worker().start();
        // The two that ran, and the one that had not begun.
        const pids = await Promise.all(results.map((result) => result.get()));
        expect(pids.sort()).toEqual([0, ...ended.map(({ pid }) => pid).sort()]);
      },
    );

    test('by a second signal, and gives back what still runs', async () => {
      const program = await running();
      const task = work();
      const until = gate();
      const results = await Promise.all([1, 2].map((n) => task.delay({ n, until })));
      await program.eventsOf('two jobs', 2, (event) => 'began' in event);
      program.signal('SIGTERM');
      await program.logged('SIGTERM: worker');
      program.signal('SIGTERM');
      expect(await program.exit()).toBe(143);
      await runElsewhere(results);
    });

    test('when its time is over, and gives back what still runs', async () => {
      const program = await running({ shutdownTimeout: '100ms' });
      const task = work();
      const result = await task.delay({ n: 1, until: gate() });
      await program.event('job', began(1));
      program.signal('SIGTERM');
      expect(await program.exit()).toBe(0);
      await runElsewhere([result]);
    });

    test('while it waits for its store', async () => {
      const program = start({ workers: [{ processes: 2 }] }, 'redis://127.0.0.1:1');
      for (const index of [0, 1]) {
        await program.event('outage', (event) => event.index === index && isLogged(event, 'ECONNREFUSED'));
      }
      program.signal('SIGTERM');
      await program.event('end', ({ index, closed }) => index === null && closed === 'signal');
      expect(await program.exit()).toBe(0);
    });

    test('by close, also by force', async () => {
      const program = await running();
      const task = work();
      const result = await task.delay({ n: 1, until: gate() });
      await program.event('job', began(1));
      await program.call('close', { force: true });
      await runElsewhere([result]);
      expect(await program.exit()).toBe(0);
      const [closed] = program.events.filter((event) => event.index === null && 'closed' in event);
      expect(closed?.closed).toBe('closed');
    });

    test('by kill -9 of the first process: the others give back what they cannot end', async () => {
      const program = await running({ shutdownTimeout: '100ms' });
      const task = work();
      const result = await task.delay({ n: 1, until: gate() });
      await program.event('job', began(1));
      const pids = (await program.eventsOf('processes', 2, ({ own }) => typeof own === 'number')).map(
        ({ pid }) => pid,
      );
      program.signal('SIGKILL');
      expect(await program.exit()).toBe('SIGKILL');
      await Promise.all(pids.map(untilGone));
      await runElsewhere([result]);
      expect(program.events.filter((event) => isLogged(event, 'its supervisor has exited'))).toHaveLength(2);
    });

    test('though a process does not: it is killed', async () => {
      const program = await running({ shutdownTimeout: '100ms' });
      await work().delay({ n: 1, blocks: true });
      const { pid, index } = await program.event('job', began(1));
      expect(await program.call('health')).toMatchObject({
        live: true,
        ready: true,
        reasons: [`process ${index} does not answer`],
      });
      program.signal('SIGTERM');
      await program.logged(`(pid ${pid}) did not end within 5.1 s and is killed`);
      expect(await program.exit()).toBe(0);
      expect(isAlive(pid)).toBe(false);
    });

    test('and what else listens for the signal is told in each process', async () => {
      const program = await running({}, { onSignal: 'SIGTERM' });
      program.signal('SIGTERM');
      const told = await program.eventsOf('signals', 3, (event) => event.signalled === 'SIGTERM');
      expect(told.map(({ index }) => index).sort()).toEqual([0, 1, null]);
    });
  });

  describe('cannot be started', () => {
    test('if one of its processes ends before it takes jobs', async () => {
      const program = start({ workers: [{ processes: 2 }], failsIn: 1 });
      const { failed, code } = await program.event(
        'failure',
        (event) => event.index === null && 'failed' in event,
      );
      expect(code).toBe('CHILD_PROCESS');
      expect(failed).toMatch(/^Process 1 of the worker ended with code 1 before it took jobs/);
      expect(await program.exit()).toBe(1);
    });

    test('on a store that is not fit: its error is that of the processes', async () => {
      const redis = await startRedis(undefined, { more: ['--maxmemory-policy', 'allkeys-lru'] });
      try {
        const program = start({ workers: [{ processes: 2 }] }, redis.url);
        const { code } = await program.event('failure', (event) => event.index === null && 'failed' in event);
        expect(code).toBe('STORE_CONFIGURATION');
        expect(await program.exit()).toBe(1);
      } finally {
        await redis.stop();
      }
    });

    test('from text that Node evaluates', async () => {
      const core = createRequire(import.meta.url).resolve('@umbel/core');
      const code = `import(${JSON.stringify(pathToFileURL(core))}).then(({ createApp }) => createApp({ name: 'text' }).worker({ processes: 2 }).start()).catch((error) => console.log(JSON.stringify({ failed: error.message })))`;
      const program = new WorkerProgram(['-e', code]);
      programs.push(program);
      const { failed } = await program.event('failure', (event) => 'failed' in event);
      expect(failed).toMatch(/expected a program file, got code that Node evaluates\. Start it from a file/);
      expect(await program.exit()).toBe(0);
    });

    test('in a test', async () => {
      const worker = app.worker({ processes: 2 });
      await expect(worker.start()).rejects.toThrow(
        /expected a program file, got (a test runner|a worker thread)/,
      );
      expect(worker.state).toBe('new');
    });

    test('with a store in memory', () => {
      const own = createApp({ name: 'own', connection: memory() });
      expect(() => own.worker({ processes: 2 })).toThrow(
        'Expected `processes` to be absent with a store that other processes cannot reach, got 2.',
      );
      expect(() => own.worker({ watch: true })).toThrow('Expected `watch` to be absent');
      expect(own.worker({ processes: 1 }).isSupervisor).toBe(false);
    });
  });

  test('of several workers of a program, each process runs one', async () => {
    const workers: WorkerOptions[] = [
      { name: 'many', processes: 2, queues: ['default'] },
      { name: 'single', queues: ['other'] },
      { name: 'more', processes: 2, queues: ['more'] },
    ];
    const program = start({ workers });
    for (const of of [0, 2]) {
      await program.eventsOf('processes', 3, (event) => event.started === of && event.state === 'running');
    }
    const task = work();
    const runsIn = async (queue: string) => (await task.applyAsync({ n: 1 }, { queue })).get();
    const place = (number: number) =>
      program.events.filter(({ started: of, state }) => of === number && state === 'running');
    expect(
      place(0)
        .map(({ index }) => index)
        .sort(),
    ).toEqual([0, 1, null]);
    expect(place(1).map(({ index }) => index)).toEqual([null]);
    expect(
      place(2)
        .map(({ index }) => index)
        .sort(),
    ).toEqual([0, 1, null]);
    expect(await runsIn('other')).toBe(program.pid);
    expect(place(0).map(({ pid }) => pid)).toContain(await runsIn('default'));
    expect(place(2).map(({ pid }) => pid)).toContain(await runsIn('more'));
    program.signal('SIGTERM');
    expect(await program.exit()).toBe(0);
  });

  describe('that watches files', () => {
    const core = pathToFileURL(createRequire(import.meta.url).resolve('@umbel/core')).href;
    const main = `
      import { createApp, processIndex } from '${core}';
      import { answer } from './tasks/answer.mjs';
      const [name, connection] = process.argv.slice(2);
      const say = (event) => console.log(JSON.stringify({ pid: process.pid, index: processIndex() ?? null, ...event }));
      const log = (text) => say({ text });
      const app = createApp({ name, connection, logger: { info: log, warn: log, error: log } });
      app.task({ name: 'answer', run: async (_, ctx) => { say({ began: 0 }); return answer(ctx); } });
      await app.worker({ watch: true }).start();
      say({ started: true });
    `;
    const answer = defineTask({ name: 'answer', output: z.number() });

    test('runs the program as it is, and waits for one that can be loaded', async () => {
      const write = (code: string) => writeFileSync(join(folder, 'tasks', 'answer.mjs'), code);
      const returns = (n: number) => write(`export const answer = () => ${n};`);
      mkdirSync(join(folder, 'tasks'));
      writeFileSync(join(folder, 'main.mjs'), main);
      write('export const answer = ({ signal }) => new Promise((_, reject) => signal.onabort = reject);');
      const program = new WorkerProgram(['main.mjs', app.name, inject('redisUrl')], folder);
      programs.push(program);
      await program.event('start', ({ started: is, index }) => is === true && index === null);
      const task = app.bind(answer);
      const early = await task.delay();
      const { pid } = await program.event('job', (event) => event.began === 0);
      returns(2);
      await program.logged('tasks/answer.mjs changed: worker');
      expect(await early.get({ timeout: '50s' })).toBe(2);
      expect(isAlive(pid)).toBe(false);
      write('this is no JavaScript');
      await program.logged('ended with code 1; it restarts when a file changes');
      const late = await task.delay();
      returns(3);
      expect(await late.get({ timeout: '50s' })).toBe(3);
      program.signal('SIGINT', 'all');
      expect(await program.exit()).toBe(0);
    });
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
