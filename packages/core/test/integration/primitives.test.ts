/** What Umbel asks of a store beyond BullMQ's contract. */
import { expect, test } from 'vitest';
import { onEveryEngine } from '../../../../test/engines.js';
import type { Envelope } from '../../src/job/envelope.js';
import { mergeData } from '../../src/store/job-options.js';
import { type Primitives, primitivesOf } from '../../src/store/primitives/jobs.js';

onEveryEngine('a lock', (engine) => {
  async function claimed() {
    engine.app();
    const queue = engine.bareQueue('locks');
    const hand = engine.bareWorker('locks', { lockDuration: 30_000 });
    await hand.waitUntilReady();
    await queue.add('job', {}, { jobId: 'a' });
    const job = await hand.getNextJob('mine');
    const primitives = primitivesOf(hand.backend) as Primitives;
    return { queue, hand, job, primitives };
  }

  test('of an active job is taken by the token that has it, and by no other', async () => {
    const { primitives } = await claimed();
    expect(await primitives.takeLock('a', 'mine', 1, 1000)).toBe(true);
    expect(await primitives.takeLock('a', 'yours', 1, 1000)).toBe(false);
  });

  test('that has run out is taken again, unless the job was started again', async () => {
    const { hand, primitives } = await claimed();
    await hand.backend.extendLock('a', 'mine', 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await primitives.takeLock('a', 'mine', 2, 1000)).toBe(false);
    expect(await primitives.takeLock('a', 'mine', 1, 1000)).toBe(true);
    expect(await hand.backend.extendLock('a', 'mine', 1000)).toBe(1);
  });

  test('of a job that is not active is not taken, and none is left behind', async () => {
    const { job, queue, primitives } = await claimed();
    await job?.moveToCompleted(1, 'mine', false);
    expect(await primitives.takeLock('a', 'mine', 1, 30_000)).toBe(false);
    expect(await primitives.takeLock('b', 'mine', 1, 30_000)).toBe(false);
    await queue.remove('a'); // which a lock would forbid
    expect(await queue.getJobState('a')).toBe('unknown');
  });
});

onEveryEngine('the data of a job', (engine) => {
  test('keeps what many note at the same moment', async () => {
    engine.app();
    const queue = engine.bareQueue('notes');
    await queue.add('job', { umbel: 1 }, { jobId: 'a' });
    const note = (name: string) => mergeData(queue.getBackend(), 'a', (data) => ({ ...data, [name]: true }));
    const names = Array.from({ length: 20 }, (_, index) => `note${index}`);
    await Promise.all(names.map(note));
    const { umbel, ...notes } = ((await queue.getJob('a'))?.data ?? {}) as Envelope;
    expect(umbel).toBe(1);
    expect(Object.keys(notes).toSorted()).toEqual(names.toSorted());
  });

  test('of other programs, and of jobs that are gone, is left alone', async () => {
    engine.app();
    const queue = engine.bareQueue('notes');
    await queue.add('job', { theirs: 1 }, { jobId: 'a' });
    const change = (data: Envelope) => ({ ...data, revoked: 1 });
    expect(await mergeData(queue.getBackend(), 'a', change)).toBeUndefined();
    expect(await mergeData(queue.getBackend(), 'gone', change)).toBeUndefined();
    expect((await queue.getJob('a'))?.data).toEqual({ theirs: 1 });
    expect(await queue.getJobState('gone')).toBe('unknown');
  });

  test('is replaced in a state only, when that is asked for', async () => {
    const app = engine.app();
    const fail = app.task({ name: 'fail', run: async () => Promise.reject(new Error('no')) });
    const { id } = await fail.delay();
    const backend = engine.bareQueue('default').getBackend();
    const { replaceData } = primitivesOf(backend) as Primitives;
    const textOf = async () => (await backend.getJobData(id))?.data ?? '';
    expect(await replaceData.call(backend, id, await textOf(), '{"umbel":1,"n":1}', 'failed')).toBe(false);
    expect(await textOf()).toBe('{"umbel":1}');
    await app.worker().start();
    await app.result(id).outcome({ timeout: '50s' });
    expect(await replaceData.call(backend, id, '{"umbel":1}', '{"umbel":1,"n":2}', 'failed')).toBe(false);
    expect(await replaceData.call(backend, id, await textOf(), '{"umbel":1,"n":2}', 'failed')).toBe(true);
    expect(await textOf()).toBe('{"umbel":1,"n":2}');
  });

  test('is replaced by a worker only while the job has not ended and was not started again', async () => {
    engine.app();
    const queue = engine.bareQueue('held');
    const hand = engine.bareWorker('held', { lockDuration: 30_000 });
    await hand.waitUntilReady();
    const backend = hand.backend;
    const { replaceData } = primitivesOf(backend) as Primitives;
    const replace = (current: number, next: number, starts: number) =>
      replaceData.call(backend, 'a', `{"umbel":${current}}`, `{"umbel":${next}}`, { starts });
    await queue.add('job', { umbel: 1 }, { jobId: 'a' });
    const job = await hand.getNextJob('mine');
    expect(await replace(1, 2, 2)).toBe(false);
    expect(await replace(1, 2, 1)).toBe(true);
    const note = (starts: number) => mergeData(backend, 'a', (data) => ({ ...data, revoked: 3 }), { starts });
    await expect(note(2)).rejects.toMatchObject({ code: 'LOCK_LOST', jobId: 'a' });
    expect(await note(1)).toEqual({ umbel: 2, revoked: 3 });
    await job?.moveToCompleted(1, 'mine', false);
    expect(await replace(2, 4, 1)).toBe(false);
    await expect(note(1)).rejects.toMatchObject({ code: 'LOCK_LOST' });
    expect((await queue.getJob('a'))?.data).toEqual({ umbel: 2, revoked: 3 });
  });
});
