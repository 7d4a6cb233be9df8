/** Which results are left out of events; what the events have then is tested on both stores (`results-in-events`). */
import { type IQueueBackend, type KeepJobs, type MinimalJob, RedisQueueBackend } from 'bullmq';
import { expect, test } from 'vitest';
import { keepsLongResultsOut } from '../../../src/store/engine/redis/long-results.js';

const LONG = 'x'.repeat(5000);

/** A backend that notes the commands it is asked for, and a client that may know BullMQ's scripts. */
function kit({ hasScripts = true, fails = false } = {}) {
  const commands: string[] = [];
  const answer = async (name: string) => {
    commands.push(name);
    if (fails) throw new Error('refused');
    return 0;
  };
  const scripts = new Map<string, string>();
  const client = {
    ...(hasScripts && {
      scriptsSet: { 'moveToFinished:6': { lua: '#!lua flags=x\nreturn 1', numberOfKeys: 14 } },
    }),
    defineCommand: (name: string, { lua }: { lua: string }) => scripts.set(name, lua),
    runCommand: (name: string) => answer(name),
  };
  const backend = Object.assign(Object.create(RedisQueueBackend.prototype), {
    connection: { client: Promise.resolve(client) },
    execCommand: (_client: unknown, name: string) => answer(name),
    // As BullMQ has them.
    moveToFinished: async (_id: string, args: unknown[]) => {
      await Promise.resolve();
      return backend.execCommand(client, 'moveToFinished', args);
    },
    moveToCompleted: (job: MinimalJob, value: unknown) => {
      const args = [...Array.from({ length: 14 }), job.id, 0, 'returnvalue', JSON.stringify(value)];
      return backend.moveToFinished(job.id, args);
    },
  });
  keepsLongResultsOut(backend);
  const commit = (data: unknown, value: unknown, keep: boolean | number | KeepJobs = { count: -1 }) =>
    (backend as IQueueBackend).moveToCompleted(
      { id: 'one', data } as MinimalJob,
      value,
      keep,
      'token',
      false,
    );
  return { backend, commands, scripts, commit };
}

const own = { umbel: 1 };

test('a long result of a job of the app is committed by a script of its own, which is BullMQ’s with another call', async () => {
  const { commands, scripts, commit } = kit();
  await commit(own, LONG);
  expect(commands).toEqual(['umbel:moveToFinished']);
  expect(scripts.get('umbel:moveToFinished')).toMatch(/^#!lua flags=x\nlocal redis = [\s\S]*\nreturn 1$/);
});

test.each<[string, unknown, unknown, (boolean | number | KeepJobs)?]>([
  ['a short result', own, 'short'],
  ['a job of another program', { a: 1 }, LONG],
  ['a job that is not kept', own, LONG, true],
  ['a job of which none is kept', own, LONG, 0],
  ['a job of which none is kept, as an object', own, LONG, { count: 0 }],
])('%s is committed as ever', async (_what, data, value, keep) => {
  const { commands, commit } = kit();
  await commit(data, value, keep);
  expect(commands).toEqual(['moveToFinished']);
});

test('with a client whose scripts are not known all are', async () => {
  const { commands, commit } = kit({ hasScripts: false });
  await commit(own, LONG);
  expect(commands).toEqual(['moveToFinished']);
});

test('after a commit that was refused the job is committed as its next result asks for', async () => {
  const { commands, commit } = kit({ fails: true });
  await expect(commit(own, LONG)).rejects.toThrow('refused');
  await expect(commit(own, 'short')).rejects.toThrow('refused');
  expect(commands).toEqual(['umbel:moveToFinished', 'moveToFinished']);
});
