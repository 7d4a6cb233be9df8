import { setTimeout as sleep } from 'node:timers/promises';
import type { FinishedStatus, FlowJob, Job, JobNode, JobsOptions } from 'bullmq';
import fc from 'fast-check';
import { type AnyQueue, hold, QUEUES, take, type World } from './world.js';

type Run = (world: World) => Promise<unknown>;

/** One step, the same on both sides. */
export interface Operation {
  readonly name: string;
  readonly input: unknown;
  readonly run: Run;
  [fc.toStringMethod](): string;
}

const HOUR = 3_600_000;
const index = fc.nat(1);
const reference = fc.nat(30);
const flag = fc.constantFrom(true, undefined);
const hours = fc.integer({ min: 1, max: 3 }).map((count) => count * HOUR);
const keep = fc.constantFrom(true, false, 1, 2, { count: 1 }, { age: 0 }, undefined);

const deduplication = fc.record({
  id: fc.constantFrom('x', 'y'),
  ttl: fc.constantFrom(HOUR, undefined),
  extend: flag,
  replace: flag,
  reschedule: flag,
  keepLastIfActive: flag,
});

const failureOption = fc.constantFrom<JobsOptions>(
  {},
  { failParentOnFailure: true },
  { continueParentOnFailure: true },
  { ignoreDependencyOnFailure: true },
  { removeDependencyOnFailure: true },
);

const placement = fc.oneof(
  { weight: 3, arbitrary: fc.constant<JobsOptions>({}) },
  fc.integer({ min: 1, max: 3 }).map((priority) => ({ priority })),
  hours.map((delay) => ({ delay })),
  fc.constant({ lifo: true }),
  fc.record({ priority: fc.integer({ min: 1, max: 3 }), delay: hours }),
);

const jobOptions: fc.Arbitrary<JobsOptions> = fc
  .tuple(
    placement,
    fc.record({
      attempts: fc.constantFrom(1, 2),
      backoff: fc.constantFrom(0, HOUR),
      removeOnComplete: keep,
      removeOnFail: keep,
      keepLogs: fc.constantFrom(1, undefined),
    }),
    fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, fc.constantFrom('a', 'b', 'c')),
    fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, deduplication),
  )
  .map(([where, how, jobId, dedup]) => defined({ ...where, ...how, jobId, deduplication: dedup }));

function defined(values: Record<string, unknown>): JobsOptions {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function pick<T>(items: readonly T[], at: number): T | undefined {
  return items[at % Math.max(items.length, 1)];
}

function operation<T>(
  name: string,
  input: fc.Arbitrary<T>,
  run: (world: World, input: T) => Promise<unknown>,
) {
  return input.map(
    (value): Operation => ({
      name,
      input: value,
      run: (world) => run(world, value),
      [fc.toStringMethod]: () => `${name} ${fc.stringify(value)}`,
    }),
  );
}

/** An operation on a job seen before; nothing happens as long as there is none. */
function onJob<T>(
  name: string,
  input: fc.Arbitrary<T>,
  run: (job: Job, input: T, world: World) => Promise<unknown>,
) {
  return operation(name, fc.tuple(reference, input), async (world, [at, value]) => {
    const job = pick(world.jobs, at);
    return job && run(job, value, world);
  });
}

/** An operation on a held job, which is let go. */
function onHeld<T>(
  name: string,
  input: fc.Arbitrary<T>,
  run: (job: Job, token: string, input: T, world: World) => Promise<unknown>,
) {
  return operation(name, fc.tuple(reference, input), async (world, [at, value]) => {
    const held = pick(world.held, at);
    if (!held) return undefined;
    world.held.splice(world.held.indexOf(held), 1);
    return run(held.job, held.token, value, world);
  });
}

function onQueue<T>(
  name: string,
  input: fc.Arbitrary<T>,
  run: (queue: AnyQueue, input: T, world: World) => Promise<unknown>,
) {
  return operation(name, fc.tuple(index, input), async (world, [at, value]) => {
    const queue = world.queues[at];
    return queue && run(queue, value, world);
  });
}

const none = fc.constant(undefined);

function workerOf(world: World, job: Job) {
  return world.workers[QUEUES.indexOf(job.queueName as (typeof QUEUES)[number])] ?? world.workers[0];
}

// No id is ever both an ancestor and a descendant: BullMQ does not survive a job that is its own parent.
const LATE = ['k', 'l'];

// Jobs added together are given one timestamp: else chance decides whether they share a millisecond, and their order.
const adding = [
  onQueue('add', jobOptions, async (queue, opts, world) => {
    const job = await queue.add('single', { list: [1, null, 'é'] }, opts);
    world.jobs.push(job);
    return job.id;
  }),
  onQueue('addBulk', fc.array(jobOptions, { minLength: 1, maxLength: 3 }), async (queue, all, world) => {
    const timestamp = Date.now();
    const jobs = await queue.addBulk(
      all.map((opts, at) => ({ name: 'bulk', data: at, opts: { ...opts, timestamp } })),
    );
    world.jobs.push(...jobs);
    return jobs.map((job) => job.id);
  }),
  operation(
    'addChild',
    fc.tuple(index, reference, jobOptions, failureOption, fc.constantFrom(...LATE, undefined)),
    async (world, [at, parentAt, opts, failure, jobId]) => {
      const parent = pick(world.jobs, parentAt);
      if (!parent?.id || LATE.includes(parent.id)) return undefined;
      const link = { id: parent.id, queue: parent.queueQualifiedName };
      const { deduplication: _, jobId: __, ...rest } = opts;
      const options = { ...rest, ...failure, ...(jobId ? { jobId } : {}), parent: link };
      const job = await world.queues[at]?.add('late', {}, options);
      if (job) world.jobs.push(job);
      return job?.id;
    },
  ),
];

const node = (...ids: string[]) => fc.tuple(index, fc.constantFrom(...ids), failureOption, placement);
const branch = fc.tuple(node('g', 'h'), fc.array(node('i', 'j', 'k'), { maxLength: 3 }));

type Leaf = [number, string, JobsOptions, JobsOptions];

function toFlow([[at, jobId, failure, where], children]: [Leaf, Leaf[]], timestamp: number): FlowJob {
  return {
    name: 'node',
    queueName: QUEUES[at] ?? QUEUES[0],
    data: {},
    opts: { jobId, ...failure, ...where, timestamp },
    children: children.map((child) => toFlow([child, []], timestamp)),
  };
}

const flows = operation(
  'addFlow',
  fc.tuple(node('a', 'f'), fc.array(branch, { minLength: 1, maxLength: 3 })),
  async (world, [root, branches]) => {
    const now = Date.now();
    const flow = { ...toFlow([root, []], now), children: branches.map((each) => toFlow(each, now)) };
    const tree = await world.flows.add(flow);
    const seen: Job[] = [];
    const walk = (node: typeof tree): void => {
      seen.push(node.job);
      for (const child of node.children ?? []) walk(child);
    };
    walk(tree);
    world.jobs.push(...seen);
    return seen.map((job) => job.id);
  },
);

const taking = [
  operation('take', index, async (world, at) => {
    const worker = world.workers[at];
    return worker && take(world, worker);
  }),
  operation('takeDue', index, async (world, at) => {
    const [queue, worker] = [world.queues[at], world.workers[at]];
    const job = await queue?.add('soon', {}, { delay: 1 });
    if (job) world.jobs.push(job);
    await sleep(5);
    return worker && take(world, worker);
  }),
  operation('stall', index, async (world, at) => {
    const worker = world.hasty[at];
    if (!worker) return undefined;
    const reply = await take(world, worker);
    const recovered: string[][] = [];
    for (let round = 0; round < 2; round += 1) {
      await sleep(5);
      recovered.push(await worker.getBackend().moveStalledJobsToWait());
    }
    return [reply, recovered];
  }),
];

// Short, since Redis gives up the order of a parent's results once one of them is long.
const returned = fc.constantFrom<unknown>(undefined, null, 7, 'done', { list: [1, { deep: true }] });

const finishing = [
  onHeld('complete', fc.tuple(returned, fc.boolean()), async (job, token, [value, next], world) => {
    const reply = await job.moveToCompleted(value, token, next);
    const worker = workerOf(world, job);
    if (worker) hold(world, worker, reply, token);
    return reply;
  }),
  onHeld('fail', fc.boolean(), async (job, token, next, world) => {
    const error = Object.assign(new Error('broken'), { stack: 'Error: broken' });
    const reply: unknown = await job.moveToFailed(error, token, next);
    const worker = workerOf(world, job);
    if (worker) hold(world, worker, reply, token);
    return reply;
  }),
  onHeld('moveToDelayed', hours, (job, token, delay) => job.moveToDelayed(Date.now() + delay, token)),
  onHeld('moveToWait', none, (job, token) => job.moveToWait(token)),
  onHeld('moveToWaitingChildren', none, (job, token) => job.moveToWaitingChildren(token)),
  onJob('completeUnheld', none, (job) => job.moveToCompleted(1, 'nobody', false)),
  onJob('extendLock', none, (job) => job.extendLock('nobody', 1000)),
];

/** A flow's ids as a tree; the order of children is open. */
function shapeOf({ job, children = [] }: JobNode): unknown {
  const shapes = children
    .filter((child) => child !== undefined)
    .map((child) => JSON.stringify(shapeOf(child)));
  return [job.id, shapes.sort()];
}

const state = fc.constantFrom<FinishedStatus>('completed', 'failed');

const changing = [
  onJob('retry', fc.tuple(state, flag), (job, [from, reset]) =>
    job.retry(from, reset ? { resetAttemptsMade: true, resetAttemptsStarted: true } : {}),
  ),
  onJob('promote', none, (job) => job.promote()),
  onJob('remove', fc.boolean(), (job, removeChildren) => job.remove({ removeChildren })),
  onJob('removeUnprocessedChildren', none, (job) => job.removeUnprocessedChildren()),
  onJob('removeChildDependency', none, async (job) => job.parentKey && job.removeChildDependency()),
  onJob('changeDelay', hours, (job, delay) => job.changeDelay(delay)),
  onJob('changePriority', fc.record({ priority: fc.nat(3), lifo: fc.boolean() }), (job, opts) =>
    job.changePriority(opts),
  ),
  onJob('updateData', fc.jsonValue(), (job, data) => job.updateData(data)),
  onJob('updateProgress', fc.oneof(fc.nat(100), fc.constant({ step: 1 })), (job, value) =>
    job.updateProgress(value),
  ),
  onJob('log', none, (job) => job.log('row')),
  onJob('clearLogs', fc.constantFrom(undefined, 1), (job, count) => job.clearLogs(count)),
  onJob('getFlow', none, async (job, _, world) => {
    const flow = await world.flows.getFlow({
      id: String(job.id),
      queueName: job.queueName,
      prefix: job.prefix,
    });
    return flow && shapeOf(flow);
  }),
  onJob('removeDeduplicationKey', none, (job) => job.removeDeduplicationKey()),
];

// Without removeOrphanedJobs, by which Redis loses the metrics of failed jobs, taking them for a job.
const maintaining = [
  onQueue('pause', none, (queue) => queue.pause()),
  onQueue('resume', none, (queue) => queue.resume()),
  onQueue('drain', fc.boolean(), async (queue, delayed) => {
    // Redis then cuts the wait list at the wrong end: it keeps an id without a job and loses the spared one.
    if ((await queue.getWaiting()).some((job) => job?.id?.startsWith('repeat:'))) return;
    await queue.drain(delayed);
  }),
  onQueue(
    'clean',
    fc.tuple(
      fc.nat(2),
      fc.constantFrom('completed', 'failed', 'wait', 'delayed', 'prioritized', 'active', 'waiting-children'),
    ),
    async (queue, [limit, type]) => {
      const removed: string[] = await queue.getBackend().cleanJobsByState(type, Date.now(), limit);
      return removed;
    },
  ),
  onQueue('obliterate', fc.boolean(), (queue, force) => queue.obliterate({ force })),
  onQueue('retryJobs', fc.tuple(state, fc.constantFrom(1, 100)), (queue, [from, count]) =>
    queue.retryJobs({ state: from, count }),
  ),
  onQueue('promoteJobs', fc.constantFrom(1, 100), (queue, count) => queue.promoteJobs({ count })),
  onQueue('setGlobalConcurrency', fc.constantFrom(1, 2), (queue, count) => queue.setGlobalConcurrency(count)),
  onQueue('removeGlobalConcurrency', none, (queue) => queue.removeGlobalConcurrency()),
  onQueue('setGlobalRateLimit', fc.constantFrom(1, 2), (queue, max) => queue.setGlobalRateLimit(max, HOUR)),
  onQueue('removeGlobalRateLimit', none, (queue) => queue.removeGlobalRateLimit()),
  onQueue('rateLimit', none, (queue) => queue.rateLimit(HOUR)),
  onQueue('removeRateLimitKey', none, (queue) => queue.removeRateLimitKey()),
  onQueue('removeKeyOf', fc.constantFrom('x', 'y'), (queue, id) => queue.removeDeduplicationKey(id)),
];

const scheduling = [
  onQueue(
    'upsertJobScheduler',
    fc.tuple(fc.constantFrom('s', 't'), fc.constantFrom(HOUR, 2 * HOUR), fc.nat(2)),
    async (queue, [id, every, priority], world) => {
      const template = { name: 'tick', data: { every }, opts: priority ? { priority } : {} };
      const job = await queue.upsertJobScheduler(id, { every }, template);
      if (job) world.jobs.push(job);
      return job?.id;
    },
  ),
  operation('takeScheduled', index, async (world, at) => {
    world.tokens += 1;
    const token = `token-${world.tokens}`;
    const job = await world.workers[at]?.getNextJob(token, { block: false });
    if (!job) return undefined;
    world.jobs.push(job);
    world.held.push({ job, token });
    return job.id;
  }),
  onQueue('removeJobScheduler', fc.constantFrom('s', 't'), (queue, id) => queue.removeJobScheduler(id)),
];

/** Lists of operations, most of which move jobs on. */
export const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.oneof(...adding) },
    { weight: 3, arbitrary: flows },
    { weight: 8, arbitrary: fc.oneof({ weight: 6, arbitrary: taking[0] ?? flows }, ...taking.slice(1)) },
    {
      weight: 8,
      arbitrary: fc.oneof({ weight: 4, arbitrary: finishing[0] ?? flows }, ...finishing.slice(1)),
    },
    { weight: 5, arbitrary: fc.oneof(...changing) },
    { weight: 3, arbitrary: fc.oneof(...maintaining) },
    { weight: 1, arbitrary: fc.oneof(...scheduling) },
  ),
  { minLength: 5, maxLength: 30, size: 'max' },
);
