import { availableParallelism } from 'node:os';
import { createApp, processIndex } from '@umbel/core';
import { expect, test } from 'vitest';
import { autoProcesses, normalizeWorkerOptions } from '../../../src/worker/options.js';
import {
  identityVariables,
  planWorker,
  programOf,
  readIdentity,
} from '../../../src/worker/supervisor/plan.js';

const facts = { argv: ['node', '/app/worker.js', '--loud'], execArgv: [], isMainThread: true };

test('a program is run again with its arguments and loaders, without a debugger', () => {
  const execArgv = [
    '--import',
    'file:///tsx.mjs',
    '--inspect=9230',
    '--inspect-brk',
    '--max-old-space-size=100',
  ];
  expect(programOf({ ...facts, execArgv })).toEqual({
    file: '/app/worker.js',
    args: ['--loud'],
    execArgv: ['--import', 'file:///tsx.mjs', '--max-old-space-size=100'],
  });
});

test.each([
  ['prompt', { argv: ['node'] }],
  ['Node evaluates', { execArgv: ['-e', 'text'] }],
  ['Node evaluates', { execArgv: ['--eval=text'], argv: ['node'] }],
  ['worker thread', { isMainThread: false }],
  ['test runner', { argv: ['node', '/app/node_modules/vitest/dist/workers/forks.js'] }],
  ['test runner', { argv: ['node', 'C:\\app\\node_modules\\jest-worker\\build\\child.js'] }],
])('there is none: %s', (words, others) => {
  expect(() => programOf({ ...facts, ...others })).toThrow(words);
  expect(() => programOf({ ...facts, ...others })).toThrow(
    'Start it from a file in the main thread: `node worker.js`.',
  );
});

test('a place is read as it was written', () => {
  const place = { worker: 1, index: 2, name: 'a "name"' };
  const variables = identityVariables(place);
  expect(variables).toEqual({ UMBEL_PROCESS: '2', UMBEL_SUPERVISED: expect.any(String) });
  expect(readIdentity(variables.UMBEL_SUPERVISED ?? '')).toEqual(place);
});

test.each([
  '',
  '[]',
  '{"worker":0}',
  '{"worker":-1,"index":0,"name":"a"}',
  '{"worker":0,"index":0,"name":1}',
])('no place: %s', (text) => {
  expect(readIdentity(text)).toBeUndefined();
});

test('a process that no supervisor has started has no index', () => {
  expect(processIndex()).toBeUndefined();
  const worker = createApp({ name: 'own' }).worker();
  expect([worker.processIndex, worker.isSupervisor]).toEqual([undefined, false]);
  const supervisor = createApp({ name: 'own' }).worker({ processes: 2 });
  expect([supervisor.processIndex, supervisor.isSupervisor]).toEqual([undefined, true]);
});

test.each([
  [8, ['127.0.0.1:6379'], 7],
  [8, ['localhost:5432'], 7],
  [8, ['[::1]:6379'], 7],
  [8, ['/run/redis.sock'], 7],
  [8, ['redis.example.com:6379'], 8],
  [8, ['127.example.com:6379'], 8],
  [8, [], 8],
  [2, ['localhost:6379'], 1],
  [1, ['localhost:6379'], 1],
])("'auto' on %i cores with a store at %j: %i processes", (cores, addresses, expected) => {
  expect(autoProcesses(cores, addresses)).toBe(expected);
});

test("'auto' leaves a core to a store on this machine", () => {
  const plan = (host: string) =>
    planWorker({ processes: 'auto' }, 'name', {
      isShared: true,
      describe: () => ({ kind: 'redis', addresses: [`${host}:6379`], database: 0, isEncrypted: false }),
    });
  expect(plan('localhost').normalized.processes).toBe(Math.max(1, availableParallelism() - 1));
  expect(plan('redis.example.com').normalized.processes).toBe(availableParallelism());
});

test('options', () => {
  const options = (given: object) => normalizeWorkerOptions(given, 'name');
  expect(options({})).toMatchObject({ processes: 1, watch: undefined });
  expect(options({ processes: 'auto', watch: false })).toMatchObject({
    processes: availableParallelism(),
    watch: undefined,
  });
  expect(options({ watch: true })).toMatchObject({ watch: 'modules' });
  expect(options({ watch: ['.'] })).toMatchObject({ watch: ['.'] });
  for (const processes of [0, 1.5, -1, 2000, '2', true])
    expect(() => options({ processes })).toThrow('Expected `processes` to be a whole number from 1 to 1024');
  for (const watch of ['src', [], 1]) expect(() => options({ watch })).toThrow('Expected `watch` to be');
  expect(() => options({ watch: ['no-such-folder'] })).toThrow('that exist, got "no-such-folder"');
});
