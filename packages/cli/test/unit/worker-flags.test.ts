import { describe, expect, test } from 'vitest';
import { CliError } from '../../src/errors.js';
import { workerOptions } from '../../src/worker/flags.js';
import { banner, loadTypeScriptInChildren } from '../../src/worker/run-worker.js';

describe('the options of a worker', () => {
  test('are the flags that were given, and no others', () => {
    expect(workerOptions({ loglevel: 'info' })).toEqual({});
    expect(
      workerOptions({
        loglevel: 'info',
        queues: [{ queue: 'a' }, { queue: 'b' }],
        concurrency: { min: 1, max: 4 },
        workerName: 'w',
        maxJobs: 5,
        maxMemory: '512MB',
        shutdownTimeout: false,
        lockDuration: '1m',
        healthPort: 0,
        healthHost: '127.0.0.1',
        allowEviction: true,
      }),
    ).toEqual({
      queues: ['a', 'b'],
      concurrency: { min: 1, max: 4 },
      name: 'w',
      maxJobs: 5,
      maxMemory: '512MB',
      shutdownTimeout: false,
      lockDuration: '1m',
      health: { port: 0, host: '127.0.0.1' },
      allowEviction: true,
    });
  });

  test('give each queue its concurrency, where one has its own', () => {
    const queues = [{ queue: 'a', concurrency: 20 }, { queue: 'b' }];
    expect(workerOptions({ loglevel: 'info', queues }).queues).toEqual({ a: 20, b: 10 });
    expect(workerOptions({ loglevel: 'info', queues, concurrency: 3 }).queues).toEqual({ a: 20, b: 3 });
  });

  test('say what the worker does beyond one process, and with schedules', () => {
    expect(workerOptions({ loglevel: 'info', processes: 4, watch: true })).toEqual({
      processes: 4,
      watch: true,
    });
    expect(workerOptions({ loglevel: 'info', withoutSchedules: true })).toEqual({ schedules: false });
    expect(workerOptions({ loglevel: 'info', withSchedules: true })).toEqual({ schedules: true });
    expect(workerOptions({ loglevel: 'info' })).toEqual({});
  });

  test('are refused where they contradict each other', () => {
    const both = { loglevel: 'info', withSchedules: true, withoutSchedules: true } as const;
    expect(() => workerOptions(both)).toThrow(CliError);
  });
});

const app = {
  name: 'shop',
  prefix: 'umbel:{shop}',
  store: { kind: 'redis', address: 'redis://***@db', isInMemory: false },
  searchIndex: false,
  queues: ['a', 'b'],
  tasks: [
    { name: 'one\u001b[2J', queue: 'a', hasHandler: true, isolate: 'file:///x/tasks.ts' },
    { name: 'two', queue: 'b', hasHandler: true },
    { name: 'contract', queue: 'b', hasHandler: false },
  ],
} as const;

describe('the banner', () => {
  const plain = { bold: String, dim: String, cyan: String, yellow: String, green: String, red: String };

  test('tells tasks and queues, and which tasks are not served, without what a terminal would obey', () => {
    const text = banner({ app, worker: 'w', queues: ['a'], concurrency: () => '10' }, plain);
    expect(text).toContain('store    redis://***@db\n');
    expect(text).toContain('queues   a (10)\n');
    expect(text).toContain('2 tasks\n');
    expect(text).toMatch(/two +b {2}not served here/);
    expect(text).not.toContain('contract');
    expect(text).not.toContain('\u001b');
  });
});

test('child processes load TypeScript if an isolated task is written in it', () => {
  const execArgv: string[] = [];
  loadTypeScriptInChildren({ ...app, tasks: [{ ...app.tasks[0], isolate: 'file:///x/tasks.js' }] }, execArgv);
  expect(execArgv).toEqual([]);
  loadTypeScriptInChildren(app, execArgv);
  loadTypeScriptInChildren(app, execArgv);
  expect(execArgv).toEqual(['--import', expect.stringMatching(/typescript-register\.js$/)]);
});
