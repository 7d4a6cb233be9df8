import { expect, test } from 'vitest';
import type { FailureOrigin } from '../../src/errors.js';
import { type Children, gather } from '../../src/flow/gather.js';
import { gatherNeeded } from '../../src/flow/needed.js';
import type { FailedChild } from '../../src/running/job.js';

const SKIPPED = { name: 'SkippedError', message: 'not needed' };

/** Children that have failed: by themselves, or skipped. */
function failing(failures: Readonly<Record<string, 'failed' | 'skipped'>>): Children {
  const failed = Object.keys(failures).map((id): FailedChild => ({ id, queue: 'default', reason: 'r' }));
  return {
    results: async () => new Map(),
    failed: async () => failed,
    origin: async ({ id }): Promise<FailureOrigin> =>
      failures[id] === 'skipped'
        ? { task: 'member', jobId: id, state: 'skipped', error: SKIPPED }
        : { task: 'member', jobId: id, error: { name: 'Error', message: `${id} fails` } },
    mayBePending: true,
  };
}

const job = { id: 'run.0', run: 'run' };

test('a join fails with what has failed by itself, and not with what was skipped for it', async () => {
  const children = failing({ 'run.0.0': 'skipped', 'run.0.1': 'failed', 'run.0.2': 'skipped' });
  await expect(gather(job, children, { list: '0', count: 3 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.1' },
  });
  const probes = failing({ 'run.0.0!': 'skipped', 'run.0.1!': 'failed' });
  await expect(gatherNeeded(job, probes, { list: '0', count: 2 }, { need: 1 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.1!' },
  });
});

test('a join of which every failed member was skipped is skipped', async () => {
  const children = failing({ 'run.0.0': 'skipped', 'run.0.1': 'skipped' });
  await expect(gather(job, children, { list: '0', count: 2 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.0', state: 'skipped' },
  });
});
