import type { JobsOptions } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { memory } from '../../../src/memory/index.js';
import { ManualClock, openKit, take } from '../../support/memory-kit.js';

async function openFlow(options: JobsOptions[]) {
  const kit = openKit();
  const flow = await kit.flows().add({
    name: 'parent',
    queueName: 'work',
    opts: { jobId: 'parent' },
    children: options.map((opts, at) => ({
      name: 'child',
      queueName: 'parts',
      data: at,
      opts: { jobId: `child-${at}`, ...opts },
    })),
  });
  return { kit, parent: flow.job, queue: kit.queue(), parts: kit.hand({}, 'parts'), hand: kit.hand() };
}

async function failNext(worker: Parameters<typeof take>[0]): Promise<void> {
  const job = await take(worker);
  await job.moveToFailed(new Error('broken'), 'token', false);
}

async function completeNext(worker: Parameters<typeof take>[0], value: unknown): Promise<void> {
  const job = await take(worker);
  await job.moveToCompleted(value, 'token', false);
}

test('a parent starts when its last child has completed, with what the children returned', async () => {
  const { parent, parts, hand } = await openFlow([{}, {}]);
  await completeNext(parts, { first: 1 });
  expect(await parent.getState()).toBe('waiting-children');
  await completeNext(parts, [2]);
  expect(await parent.getState()).toBe('waiting');
  expect(await (await take(hand)).getChildrenValues()).toEqual({
    'bull:parts:child-0': { first: 1 },
    'bull:parts:child-1': [2],
  });
});

describe('a child that failed for good', () => {
  test('leaves its parent waiting without an option', async () => {
    const { parent, parts } = await openFlow([{}]);
    await failNext(parts);
    expect(await parent.getState()).toBe('waiting-children');
    expect(await parent.getDependenciesCount()).toMatchObject({ unprocessed: 1, failed: 0 });
  });

  test('with failParentOnFailure queues its parent to fail', async () => {
    const { parent, parts, hand } = await openFlow([{ failParentOnFailure: true }, {}]);
    await failNext(parts);
    expect(await parent.getState()).toBe('waiting');
    expect((await take(hand)).deferredFailure).toBe('child bull:parts:child-0 failed');
    expect((await parent.getDependencies()).failed).toEqual(['bull:parts:child-0']);
  });

  test('with continueParentOnFailure starts its parent at once', async () => {
    const { parent, parts } = await openFlow([{ continueParentOnFailure: true }, {}]);
    await failNext(parts);
    expect(await parent.getState()).toBe('waiting');
    expect(await parent.getIgnoredChildrenFailures()).toEqual({ 'bull:parts:child-0': 'broken' });
  });

  test('with ignoreDependencyOnFailure leaves its reason and lets the parent wait for the others', async () => {
    const { parent, parts } = await openFlow([{ ignoreDependencyOnFailure: true }, {}]);
    await failNext(parts);
    expect(await parent.getState()).toBe('waiting-children');
    await completeNext(parts, 1);
    expect(await parent.getState()).toBe('waiting');
    expect(await parent.getIgnoredChildrenFailures()).toEqual({ 'bull:parts:child-0': 'broken' });
  });

  test('with removeDependencyOnFailure leaves nothing behind', async () => {
    const { parent, parts } = await openFlow([{ removeDependencyOnFailure: true }]);
    await failNext(parts);
    expect(await parent.getState()).toBe('waiting');
    expect(await parent.getDependencies()).toEqual({
      processed: {},
      unprocessed: [],
      failed: [],
      ignored: {},
    });
  });
});

test('a running parent that gets another child can wait for it', async () => {
  const { kit, parent, parts, hand } = await openFlow([{}]);
  await completeNext(parts, 1);
  const running = await take(hand);
  const link = { id: 'parent', queue: parent.queueQualifiedName };
  await kit.queue('parts').add('late', {}, { parent: link });
  expect(await running.moveToWaitingChildren('token')).toBe(true);
  await completeNext(parts, 2);
  expect(await parent.getState()).toBe('waiting');
});

test('a child of a parent that does not exist is refused with code -5', async () => {
  const queue = openKit().queue();
  const adding = queue.add('child', {}, { parent: { id: 'nobody', queue: 'bull:work' } });
  await expect(adding).rejects.toMatchObject({
    code: -5,
    message: 'Missing key for parent job bull:work:nobody. addJob',
  });
});

test('a child of a living parent is not given to another one, which is refused with code -7', async () => {
  const kit = openKit();
  const queue = kit.queue();
  for (const jobId of ['one', 'two']) await queue.add('parent', {}, { jobId });
  await queue.add('child', {}, { jobId: 'child', parent: { id: 'one', queue: 'bull:work' } });
  const adding = queue.add('child', {}, { jobId: 'child', parent: { id: 'two', queue: 'bull:work' } });
  await expect(adding).rejects.toMatchObject({ code: -7 });
});

test('a flow whose only child has completed already starts its parent', async () => {
  const kit = openKit();
  const parts = kit.hand({}, 'parts');
  await kit.queue('parts').add('child', {}, { jobId: 'known' });
  await completeNext(parts, 'done');
  const { job } = await kit.flows().add({
    name: 'parent',
    queueName: 'work',
    children: [{ name: 'child', queueName: 'parts', opts: { jobId: 'known' } }],
  });
  expect(await job.getState()).toBe('waiting');
  expect(await job.getChildrenValues()).toEqual({ 'bull:parts:known': 'done' });
});

test('a retried child is pending again for its parent', async () => {
  const { parent, parts } = await openFlow([{}, {}]);
  const child = await take(parts);
  await child.moveToCompleted(1, 'token', false);
  await child.retry('completed');
  expect(await parent.getDependenciesCount()).toMatchObject({ processed: 0, unprocessed: 2 });
});

test('removing a parent removes its children, unless one of them runs', async () => {
  const { queue, parts, parent } = await openFlow([{}, {}]);
  const child = await take(parts);
  expect(await queue.remove('parent')).toBe(0);
  await child.moveToCompleted(1, 'token', false);
  expect(await queue.remove('parent')).toBe(1);
  expect(await parent.getState()).toBe('unknown');
  expect(await child.getState()).toBe('unknown');
});

test('a job with unfinished children cannot complete', async () => {
  const kit = openKit();
  const queue = kit.queue();
  await queue.add('parent', {}, { jobId: 'parent' });
  const running = await take(kit.hand());
  await queue.add('child', {}, { parent: { id: 'parent', queue: 'bull:work' } });
  await expect(running.moveToCompleted(1, 'token', false)).rejects.toMatchObject({
    code: -4,
    message: 'Job parent has pending dependencies. moveToFinished',
  });
});

test('delayed parents that are released in the same millisecond are ordered by id, as Redis orders them', async () => {
  const kit = openKit(memory({ clock: new ManualClock() }));
  const parts = kit.hand({}, 'parts');
  for (const jobId of ['b', 'a']) {
    const children = [{ name: 'child', queueName: 'parts' }];
    await kit.flows().add({ name: 'parent', queueName: 'work', opts: { jobId, delay: 1000 }, children });
  }
  await completeNext(parts, 'b is released first');
  await completeNext(parts, 'a is released next');
  expect((await kit.queue().getDelayed()).map((job) => job.id)).toEqual(['a', 'b']);
});
