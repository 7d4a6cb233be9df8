import type { IQueueBackend } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { SubmitError } from '../../../src/base/errors.js';
import { checksAdded } from '../../../src/store/guards/added.js';
import { failing, passing, stubBackend } from '../../support/stub-backend.js';

type Answer = [Error | null, string | number];

const entry = (jobId: string, addToWaitingChildren = false) => ({
  jobId,
  queueName: 'default',
  prefix: 'p',
  jobData: { id: jobId, opts: {} },
  parentKeyOpts: { ...(addToWaitingChildren && { addToWaitingChildren }) },
});
const ENTRIES = [entry('root', true), entry('child')] as unknown as Parameters<IQueueBackend['addFlow']>[0];

/** A store that gives these answers to a flow, one after the other. */
function store(...answers: (Answer[] | Error)[]) {
  const left = [...answers];
  const backend = stubBackend({
    addFlow: async () => {
      const answer = left.shift() ?? [];
      if (answer instanceof Error) throw answer;
      return answer;
    },
    qualifiedName: 'p:default',
  });
  checksAdded(backend);
  return { backend, left };
}

const ALL: Answer[] = [
  [null, 'root'],
  [null, 'child'],
];
const noScript = new Error('NOSCRIPT No matching script.');

describe('a flow', () => {
  test('is there as a whole', async () => {
    const { backend } = store(ALL);
    expect(await backend.addFlow(ENTRIES)).toEqual(ALL);
  });

  test('of which a child was refused is an error that names it', async () => {
    const { backend } = store([
      [null, 'root'],
      [null, -5],
    ]);
    await expect(backend.addFlow(ENTRIES)).rejects.toThrow(
      'Job child was not stored in queue "default": code -5.',
    );
  });

  test('of which a child has no answer is an error', async () => {
    const { backend } = store([[null, 'root']]);
    await expect(backend.addFlow(ENTRIES)).rejects.toBeInstanceOf(SubmitError);
  });

  test('is stored again whole when the store has lost the script of a part', async () => {
    const { backend, left } = store(
      [
        [null, 'root'],
        [noScript, -1],
      ],
      ALL,
    );
    expect(await backend.addFlow(ENTRIES)).toEqual(ALL);
    expect(left).toEqual([]);
  });

  test('is an error when its script does not come back', async () => {
    const { backend } = store(
      ...Array.from({ length: 9 }, (): Answer[] => [
        [null, 'root'],
        [noScript, -1],
      ]),
    );
    await expect(backend.addFlow(ENTRIES)).rejects.toThrow('NOSCRIPT');
  });

  test('is stored again whole when only the check after it has lost its script', async () => {
    const { backend, left } = store(noScript, ALL);
    expect(await backend.addFlow(ENTRIES)).toEqual(ALL);
    expect(left).toEqual([]);
  });

  test('of which every part was refused for the moment is an error that passes', async () => {
    const oom = new Error('OOM command not allowed');
    const { backend } = store([
      [oom, -1],
      [oom, -1],
    ]);
    await expect(backend.addFlow(ENTRIES)).rejects.toBe(oom);
  });

  test('that the store refuses as a whole is an error', async () => {
    const { backend } = store(passing());
    await expect(backend.addFlow(ENTRIES)).rejects.toThrow('LOADING');
  });
});

describe('many jobs', () => {
  const jobs = [
    { job: {}, jobId: 'a' },
    { job: {}, jobId: 'b' },
  ] as Parameters<IQueueBackend['addJobs']>[0];

  test('are an error if one of them was refused', async () => {
    const backend = stubBackend({ addJobs: async () => ['a', -5 as unknown as string] });
    checksAdded(backend);
    await expect(backend.addJobs(jobs)).rejects.toThrow('Job b was not stored');
  });

  test('are sent again when their script is lost', async () => {
    const answers = failing([noScript], ['a', 'b']);
    const backend = stubBackend({ addJobs: answers.command });
    checksAdded(backend);
    expect(await backend.addJobs(jobs)).toEqual(['a', 'b']);
    expect(answers.calls).toBe(2);
  });
});
