import { describe, expect, test } from 'vitest';
import { cpuMs } from '../../../../test/support/cpu-time.js';
import { CorruptJobError, type FailureOrigin } from '../../src/base/errors.js';
import { UpstreamFailedError } from '../../src/base/failures.js';
import type { FailedChild } from '../../src/job/job.js';
import type { Source } from '../../src/job/job-tree.js';
import { type Children, collectInputs, collectNeeded, readMembers } from '../../src/workflow/join.js';

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
  await expect(collectInputs(job, children, { list: '0', count: 3 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.1' },
  });
  const probes = failing({ 'run.0.0!': 'skipped', 'run.0.1!': 'failed' });
  await expect(collectNeeded(job, probes, { list: '0', count: 2 }, { need: 1 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.1!' },
  });
});

test('a join of which every failed member was skipped is skipped', async () => {
  const children = failing({ 'run.0.0': 'skipped', 'run.0.1': 'skipped' });
  await expect(collectInputs(job, children, { list: '0', count: 2 })).rejects.toMatchObject({
    origin: { jobId: 'run.0.0', state: 'skipped' },
  });
});

/** Children of the job and, by the id of their slice, of others; every read is counted. */
function ended(
  own: Readonly<Record<string, unknown>>,
  slices: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Children & { readonly reads: string[] } {
  const reads: string[] = [];
  return {
    reads,
    results: async (of) => {
      reads.push(of ?? '');
      return new Map(Object.entries(of === undefined ? own : (slices[of] ?? {})));
    },
    failed: async () => [],
    origin: async ({ id }) => ({ task: 'member', jobId: id, error: SKIPPED }),
    mayBePending: false,
  };
}

const CLAIMED = 1_000_000;
const membersOf = (list: string, first: number, count: number, value: unknown = 1) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`run.${list}.${first + index}`, value]));

describe('a number of members that is only claimed', () => {
  test.each<[string, Source]>([
    ['may fail', { list: '0', count: CLAIMED, settled: true }],
    ['is told', { list: '0', via: '0-fan', settled: true }],
  ])('is refused at once: %s', async (_, source) => {
    const children = ended({ 'run.0-fan': { count: CLAIMED }, 'run.0.0': 1 });
    await expect(collectInputs(job, children, source)).rejects.toThrow(CorruptJobError);
  });

  test.each([Number.NaN, -1, 1.5, 1e10, '7', null, undefined, {}])('is none if it is %s', async (count) => {
    const children = ended({ 'run.0-fan': { count } });
    const source = { list: '0', via: '0-fan' };
    await expect(collectInputs(job, children, source)).rejects.toThrow(
      'its result is not a number of members',
    );
    await expect(collectNeeded(job, children, source, { need: 1 })).rejects.toThrow(CorruptJobError);
  });

  test.each([undefined, true] as const)(
    'of slices is read as far as slices are there (settled: %s)',
    async (settled) => {
      const source: Source = { list: '0', count: 1_000_000_000, sliced: true, ...(settled && { settled }) };
      const slices = { 'run.0/0': membersOf('0', 0, 50), 'run.0/1': membersOf('0', 50, 50) };
      for (const read of [
        () => readMembers(job, ended({}, slices), source),
        () => collectInputs(job, ended({ 'run.0/0': null, 'run.0/1': null }, slices), source),
      ]) {
        const startedAt = cpuMs();
        await expect(read()).rejects.toThrow(UpstreamFailedError);
        expect(cpuMs() - startedAt).toBeLessThan(1000);
      }
      const children = ended({}, slices);
      await readMembers(job, children, source).catch(() => {});
      expect(children.reads.length).toBeLessThanOrEqual(20);
    },
  );

  test('is read in whole where the members are there, also if some are missing that may fail', async () => {
    const slices = { 'run.0/0': membersOf('0', 0, 50), 'run.0/1': membersOf('0', 50, 20) };
    expect(await readMembers(job, ended({}, slices), { list: '0', count: 70, sliced: true })).toEqual(
      Array.from({ length: 70 }, () => 1),
    );
    const settled: Source = { list: '0', count: 80, sliced: true, settled: true };
    const outcomes = (await readMembers(job, ended({}, slices), settled)) as { ok: boolean }[];
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(70);
    expect(outcomes).toHaveLength(80);
  });

  test('of a list that stands for itself, or for one that was read, is refused', async () => {
    const reference = (list: string) => ({ 'umbel:members': { list, count: 50, sliced: true } });
    const itself = ended({}, { 'run.0/0': membersOf('0', 0, 50, reference('0')) });
    const source: Source = { list: '0', count: 50, sliced: true };
    await expect(readMembers(job, itself, source)).rejects.toThrow('its result refers to itself');
    const levels = Object.fromEntries(
      Array.from({ length: 10 }, (_, level) => [
        `run.${level}/0`,
        membersOf(`${level}`, 0, 50, reference(`${level + 1}`)),
      ]),
    );
    const folded = ended({}, levels);
    await expect(readMembers(job, folded, source)).rejects.toThrow();
    expect(folded.reads.length).toBeLessThan(100);
    // Each member may stand for a list of its own.
    const own = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`run.0.${index}/0`, membersOf(`0.${index}`, 0, 2)]),
    );
    const members = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [
        `run.0.${index}`,
        { 'umbel:members': { list: `0.${index}`, count: 2, sliced: true } },
      ]),
    );
    const nested = await readMembers(job, ended({}, { ...own, 'run.0/0': members }), source);
    expect(nested).toEqual(Array.from({ length: 50 }, () => [1, 1]));
  });
});
