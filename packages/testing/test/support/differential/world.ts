import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackendFactory,
  type ConnectionOptions,
  FlowProducer,
  Job,
  Queue,
  Worker,
  type WorkerOptions,
} from 'bullmq';

/** A job that was taken and not finished yet. */
interface Held {
  readonly job: Job;
  readonly token: string;
}

type Options = { connection: ConnectionOptions; prefix: string };

const openQueue = (name: string, options: Options, factory: BackendFactory) =>
  new Queue(name, options, factory);
const openWorker = (name: string, options: Options & Partial<WorkerOptions>, factory: BackendFactory) =>
  new Worker(name, null, { ...options, autorun: false }, factory);
const openFlows = (options: Options, factory: BackendFactory) => new FlowProducer(options, factory);

/** BullMQ's classes on a backend that may be any. */
export type AnyQueue = ReturnType<typeof openQueue>;
export type AnyWorker = ReturnType<typeof openWorker>;

/** One side of the comparison: two queues with a worker each, on one backend. */
export interface World {
  readonly queues: readonly AnyQueue[];
  readonly workers: readonly AnyWorker[];
  /** Workers whose locks and stalled checks last a millisecond. */
  readonly hasty: readonly AnyWorker[];
  readonly flows: ReturnType<typeof openFlows>;
  /** Every job seen so far, in the order in which both sides see them. */
  readonly jobs: Job[];
  readonly held: Held[];
  readonly lastEvents: Map<string, string>;
  tokens: number;
  close(): Promise<void>;
}

export const QUEUES = ['alpha', 'beta'] as const;
const HOUR = 3_600_000;

export function openWorld(factory: BackendFactory, connection: ConnectionOptions, prefix: string): World {
  const shared = { connection, prefix };
  const lasting = { lockDuration: HOUR, name: 'tester', metrics: { maxDataPoints: 5 } };
  const brief = { lockDuration: 1, stalledInterval: 1, maxStalledCount: 1 };
  const queues = QUEUES.map((name) => openQueue(name, shared, factory));
  const workers = QUEUES.map((name) => openWorker(name, { ...shared, ...lasting }, factory));
  const hasty = QUEUES.map((name) => openWorker(name, { ...shared, ...brief }, factory));
  const flows = openFlows(shared, factory);
  return {
    queues,
    workers,
    hasty,
    flows,
    jobs: [],
    held: [],
    lastEvents: new Map(),
    tokens: 0,
    close: async () => {
      for (const part of [...workers, ...hasty, ...queues, flows]) await part.close();
    },
  };
}

/** Resolves in a later millisecond, so that what happens next has another timestamp. */
export async function nextMillisecond(): Promise<void> {
  const { now } = Date;
  const start = now();
  while (now() === start) await sleep(1);
}

/** The reply to a fetch, whose job is held from now on. */
export async function take(world: World, worker: AnyWorker): Promise<unknown> {
  world.tokens += 1;
  const token = `token-${world.tokens}`;
  const reply: unknown[] = await worker.getBackend().moveToActive(token, 'tester');
  hold(world, worker, reply, token);
  return reply;
}

/** Holds the job of a fetch reply, if it has one. */
export function hold(world: World, worker: AnyWorker, reply: unknown, token: string): void {
  if (!Array.isArray(reply) || !reply[0]) return;
  const job = Job.fromJSON(worker, reply[0], String(reply[1]));
  world.jobs.push(job);
  world.held.push({ job, token });
}
