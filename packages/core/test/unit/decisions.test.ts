/** The rule of each construct, decided from what its children have given. No store. */
import { describe, expect, test } from 'vitest';
import { type FailureOrigin, ValidationError } from '../../src/base/errors.js';
import { UpstreamFailedError } from '../../src/base/failures.js';
import type { FailedChild } from '../../src/job/job.js';
import type { JobNode } from '../../src/job/job-tree.js';
import { stopped } from '../../src/job/marks.js';
import {
  branchOfWhen,
  caseOfMatch,
  decideFallback,
  decideReplacement,
  membersOfEach,
} from '../../src/workflow/expand.js';
import { type Children, collectInputs, collectNeeded, PROBE } from '../../src/workflow/join.js';

interface Ended {
  readonly results?: Readonly<Record<string, unknown>>;
  /** By the id of another internal job. */
  readonly below?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** The reason of each failure, by id. */
  readonly failed?: Readonly<Record<string, string>>;
  /** Ids of jobs that failed first, where that was another job. */
  readonly origins?: Readonly<Record<string, string>>;
  readonly mayBePending?: boolean;
}

function children({ results = {}, below = {}, failed = {}, origins = {}, mayBePending }: Ended): Children {
  const failures = Object.entries(failed).map(
    ([id, reason]): FailedChild => ({ id, queue: 'default', reason }),
  );
  return {
    results: async (of) => new Map(Object.entries(of === undefined ? results : (below[of] ?? {}))),
    failed: async (of) => (of === undefined ? failures : []),
    origin: async ({ id, reason }): Promise<FailureOrigin> => ({
      task: 'work',
      jobId: origins[id] ?? id,
      error: { name: 'Error', message: reason },
    }),
    mayBePending: mayBePending ?? false,
  };
}

const job = { id: 'run.0', run: 'run' };
const failsAt = (jobId: string) => ({ origin: { jobId } });

describe('a chain and a group', () => {
  test('a step takes the result of the step before it', async () => {
    const state = await collectInputs(job, children({ results: { 'run.0-0': 7 } }), { step: '0-0' });
    expect(state).toEqual({ kind: 'value', value: 7 });
  });

  test('members come in declared order, whoever ended first', async () => {
    const ended = children({ results: { 'run.0.2': 'c', 'run.0.0': 'a', 'run.0.1': 'b' } });
    expect(await collectInputs(job, ended, { list: '0', count: 3 })).toEqual({
      kind: 'value',
      value: ['a', 'b', 'c'],
    });
    expect(await collectInputs(job, ended, { record: '0', keys: ['x', 'y', 'z'] })).toEqual({
      kind: 'value',
      value: { x: 'a', y: 'b', z: 'c' },
    });
  });

  test('a member that is missing is waited for while it may come, and else is lost', async () => {
    const source = { list: '0', count: 2 };
    const results = { 'run.0.0': 'a' };
    expect(await collectInputs(job, children({ results, mayBePending: true }), source)).toEqual({
      kind: 'waiting',
    });
    await expect(collectInputs(job, children({ results }), source)).rejects.toMatchObject({
      origin: { jobId: 'run.0.1', error: { name: 'LostJobError' } },
    });
  });

  test('a failed member fails the join at once, although others may still run', async () => {
    const ended = children({
      results: { 'run.0.0': 'a' },
      failed: { 'run.0.1': 'no' },
      mayBePending: true,
    });
    await expect(collectInputs(job, ended, { list: '0', count: 3 })).rejects.toMatchObject(
      failsAt('run.0.1'),
    );
  });

  test('flat takes one level away, and refuses anything but a list', async () => {
    const lists = children({ results: { 'run.0-0': [[1], [2, [3]]] } });
    expect(await collectInputs(job, lists, { step: '0-0', flat: true })).toEqual({
      kind: 'value',
      value: [1, 2, [3]],
    });
    const none = children({ results: { 'run.0-0': { a: 1 } } });
    await expect(collectInputs(job, none, { step: '0-0', flat: true })).rejects.toThrow(ValidationError);
  });
});

describe('group.settled', () => {
  const source = { list: '0', count: 2, settled: true as const };

  test('has the outcome of each', async () => {
    const ended = children({ results: { 'run.0.0': 'a' }, failed: { 'run.0.1': 'no' } });
    expect(await collectInputs(job, ended, source)).toMatchObject({
      kind: 'value',
      value: [
        { ok: true, value: 'a' },
        { ok: false, error: { jobId: 'run.0.1', error: { message: 'no' } } },
      ],
    });
  });

  test('waits for those that have not ended, and has a loss for those that are gone', async () => {
    const results = { 'run.0.0': 'a' };
    expect(await collectInputs(job, children({ results, mayBePending: true }), source)).toEqual({
      kind: 'waiting',
    });
    expect(await collectInputs(job, children({ results }), source)).toMatchObject({
      value: [{ ok: true }, { ok: false, error: { jobId: 'run.0.1', error: { name: 'LostJobError' } } }],
    });
  });
});

describe('group.any and group.atLeast', () => {
  const three = { list: '0', count: 3 };
  const below = { 'run.0.1!': { 'run.0.1': 'b' }, 'run.0.2!': { 'run.0.2': 'c' } };

  test('any has the result of the first success', async () => {
    const one = children({ failed: { 'run.0.1!': PROBE.won }, below, mayBePending: true });
    expect(await collectNeeded(job, one, three, { need: 1, single: true })).toEqual({
      kind: 'value',
      value: 'b',
    });
  });

  test('atLeast waits until enough have succeeded, and has their results in declared order', async () => {
    const one = children({ failed: { 'run.0.2!': PROBE.won }, below, mayBePending: true });
    expect(await collectNeeded(job, one, three, { need: 2 })).toEqual({ kind: 'waiting', seen: 1 });
    const two = children({ failed: { 'run.0.2!': PROBE.won, 'run.0.1!': PROBE.won }, below });
    expect(await collectNeeded(job, two, three, { need: 2 })).toEqual({ kind: 'value', value: ['b', 'c'] });
  });

  test('fail once too many have failed', async () => {
    const one = children({ failed: { 'run.0.0!': 'no' }, mayBePending: true });
    expect(await collectNeeded(job, one, three, { need: 2 })).toEqual({ kind: 'waiting', seen: 1 });
    const two = children({ failed: { 'run.0.0!': 'no', 'run.0.1!': 'no' }, mayBePending: true });
    await expect(collectNeeded(job, two, three, { need: 2 })).rejects.toMatchObject(failsAt('run.0.0!'));
  });

  test('with enough, they come again while members are still being added', async () => {
    const fed = { list: '0', via: '0-feed' };
    const one = { failed: { 'run.0.1!': PROBE.won }, below, mayBePending: true };
    expect(await collectNeeded(job, children(one), fed, { need: 1, single: true })).toEqual({
      kind: 'later',
    });
    const done = children({ ...one, results: { 'run.0-feed': { count: 3 } } });
    expect(await collectNeeded(job, done, fed, { need: 1, single: true })).toEqual({
      kind: 'value',
      value: 'b',
    });
  });
});

describe('ctx.stop', () => {
  const mark = stopped('0', '0-0', 'early');
  const ended = children({ results: { 'run.0-0': mark, 'run.0-1': mark } });

  test('skips the later steps of its chain, and its end has the value', async () => {
    const later = await collectInputs({ id: 'run.0-1', run: 'run' }, ended, { step: '0-0' });
    expect(later).toEqual({ kind: 'stopped', result: mark });
    expect(await collectInputs(job, ended, { step: '0-1' })).toEqual({ kind: 'stopped', result: 'early' });
  });

  test('what waits for the chain takes the value', async () => {
    const inner = children({ results: { 'run.0.0': stopped('0.0', '0.0-0', 'early') } });
    expect(await collectInputs(job, inner, { step: '0.0' })).toEqual({ kind: 'value', value: 'early' });
  });
});

const node = (name: string, path = '0.*'): JobNode => ({ path, name, queue: 'default', open: true });

describe('map, starmap and chunks over a result', () => {
  const each = { each: node('work'), list: '0' };

  test('make a call for each item', () => {
    expect(membersOfEach(each, ['a', null], 10).map(({ path, input }) => [path, input])).toEqual([
      ['0.0', 'a'],
      ['0.1', null],
    ]);
    expect(membersOfEach(each, [], 10)).toEqual([]);
  });

  test('starmap puts the values of a row under the keys', () => {
    const rows = { ...each, keys: ['a', 'b'] };
    expect(membersOfEach(rows, [[1, 2]], 10)[0]?.input).toEqual({ a: 1, b: 2 });
    expect(() => membersOfEach(rows, [[1]], 10)).toThrow(/input\[0\]/);
    expect(() => membersOfEach(rows, ['no'], 10)).toThrow(ValidationError);
  });

  test('chunks packs as many inputs in a job, with the index of the first', () => {
    const packed = membersOfEach({ ...each, chunkSize: 2 }, [1, 2, 3], 10);
    expect(packed.map(({ items, offset }) => [items, offset])).toEqual([
      [[1, 2], 0],
      [[3], 2],
    ]);
  });

  test('refuse what is no list, and more jobs than the app allows', () => {
    expect(() => membersOfEach(each, { a: 1 }, 10)).toThrow(ValidationError);
    expect(() => membersOfEach(each, [1, 2, 3], 2)).toThrow(/the limit is 2/);
    expect(membersOfEach({ ...each, chunkSize: 2 }, [1, 2, 3], 2)).toHaveLength(2);
  });
});

describe('match', () => {
  const cases = {
    key: 'kind',
    cases: { a: node('a'), 200: node('ok'), true: node('yes') },
  };

  test.each([
    ['a', 'a'],
    [200, 'ok'],
    [true, 'yes'],
  ])('of %j runs the case of that name', (kind, name) => {
    expect(caseOfMatch(cases, { kind }).name).toBe(name);
  });

  test.each([[{ kind: 'other' }], [{ kind: null }], [{ kind: ['a'] }], [{}], ['a'], [{ kind: 'toString' }]])(
    'refuses %j, which is no case',
    (value) => {
      expect(() => caseOfMatch(cases, value)).toThrow(ValidationError);
    },
  );
});

describe('when', () => {
  const branches = { onTrue: node('yes'), onFalse: node('no') };

  test('chooses by a condition on the value', () => {
    const expansion = { ...branches, condition: { pages: { gt: 100 } } };
    expect(branchOfWhen(expansion, { pages: 101 }, undefined)?.name).toBe('yes');
    expect(branchOfWhen(expansion, { pages: 100 }, undefined)?.name).toBe('no');
  });

  test('chooses by the result of a step, which has to be true or false', () => {
    expect(branchOfWhen(branches, {}, true)?.name).toBe('yes');
    expect(branchOfWhen(branches, {}, false)?.name).toBe('no');
    expect(branchOfWhen({ onTrue: node('yes') }, {}, false)).toBeUndefined();
    for (const other of [1, 'true', null, undefined])
      expect(() => branchOfWhen(branches, {}, other)).toThrow(ValidationError);
  });
});

describe('fallback', () => {
  const step = { step: '0^' };
  const decide = (ended: Ended, isRevoked = false) =>
    decideFallback(job, children(ended), step, '0^b', isRevoked);

  test('has the result of the step', async () => {
    expect(await decide({ results: { 'run.0^': 1 } })).toEqual({ kind: 'value', value: 1 });
  });

  test('adds the other step for a failure of the step', async () => {
    expect(await decide({ failed: { 'run.0^': 'no' } })).toMatchObject({
      kind: 'other',
      failure: { jobId: 'run.0^' },
    });
  });

  test('has the result of the other step, and fails with its failure', async () => {
    const failed = { 'run.0^': 'no' };
    expect(await decide({ failed, results: { 'run.0^b': 2 } })).toEqual({ kind: 'value', value: 2 });
    await expect(decide({ failed: { ...failed, 'run.0^b': 'nor this' } })).rejects.toMatchObject(
      failsAt('run.0^b'),
    );
  });

  test('passes on what failed before the step, and the failure of a revoked one', async () => {
    const before = { failed: { 'run.0^': 'no' }, origins: { 'run.0^': 'run.0-0' } };
    await expect(decide(before)).rejects.toMatchObject(failsAt('run.0-0'));
    await expect(decide({ failed: { 'run.0^': 'no' } }, true)).rejects.toThrow(UpstreamFailedError);
  });
});

test('ctx.replace takes the value once it is there, adds the replacement once, and never adds it again', () => {
  expect(decideReplacement({ hasEnded: true, wasAdded: true })).toBe('take');
  expect(decideReplacement({ hasEnded: true, wasAdded: false })).toBe('take');
  expect(decideReplacement({ hasEnded: false, wasAdded: false })).toBe('add');
  expect(decideReplacement({ hasEnded: false, wasAdded: true })).toBe('wait');
});
