// Bare BullMQ: its own classes with the same concurrency and the same retention, and nothing validated.
import { randomUUID } from 'node:crypto';
import { createPostgresBackend, FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { inFlight } from '../run/in-flight.mjs';

export const CONCURRENCY = 100;
const KEPT = { removeOnComplete: { age: 86_400 }, removeOnFail: { age: 604_800 } };

const handlers = {
  noop: async ({ data }) => data,
  one: async ({ data }) => data,
  increment: async (job) => {
    const [before] = Object.values(await job.getChildrenValues());
    return { n: (before?.n ?? 0) + 1 };
  },
  sum: async (job) => {
    const values = Object.values(await job.getChildrenValues());
    return values.reduce((total, n) => total + n, 0);
  },
};

/** A queue of its own, or the one of this name. `backend` stands for the store, if it is given. */
export function open(url, { backend = backendOf(url), name = `bench-${randomUUID().slice(0, 8)}` } = {}) {
  const connection = connectionOf(url, backend);
  const queue = new Queue(name, { connection }, backend);
  const opened = [queue];
  let left = Number.POSITIVE_INFINITY;
  let done = () => {};
  const process = async (job) => {
    const value = await handlers[job.name](job);
    left -= 1;
    if (left === 0) done();
    return value;
  };
  const keep = (part) => {
    opened.push(part);
    return part;
  };
  return {
    name,
    queue,
    async start(concurrency = CONCURRENCY) {
      const worker = keep(new Worker(name, process, { connection, concurrency, ...KEPT }, backend));
      worker.on('error', console.error);
      await worker.waitUntilReady();
      return worker;
    },
    /** A worker in this process, which ends with its program. */
    serve() {
      return this.start();
    },
    /** Resolves once so many jobs have run from now on. */
    jobs: (count) =>
      new Promise((resolve) => {
        left = count;
        done = resolve;
      }),
    async flows() {
      const flows = keep(new FlowProducer({ connection }, backend));
      flows.setMaxListeners(0); // one for each flow that is being added
      const events = keep(new QueueEvents(name, { connection }, backend));
      await events.waitUntilReady();
      return {
        events,
        /** The result of a flow. */
        run: async (flow) => (await flows.add(flow)).job.waitUntilFinished(events),
      };
    },
    async close() {
      for (const part of opened.reverse()) await part.close();
    },
  };
}

function connectionOf(url, backend) {
  if (backend === createPostgresBackend) return { connectionString: url, migrate: true };
  return url ? { url } : {};
}

/** BullMQ's backend for a URL; undefined for Redis, which is its default. */
function backendOf(url) {
  return url?.startsWith('postgres') ? createPostgresBackend : undefined;
}

/** A step for each of `count`, each waiting for the one before. */
export function chainOf(queueName, count) {
  let step = { name: 'increment', queueName, data: { n: 0 } };
  for (let index = 1; index < count; index += 1)
    step = { name: 'increment', queueName, data: {}, children: [step] };
  return step;
}

/** A job that waits for `count` members, numbered from 0. */
export function chordOf(queueName, count) {
  const children = Array.from({ length: count }, (_, n) => ({ name: 'one', queueName, data: n }));
  return { name: 'sum', queueName, data: {}, children };
}

/** Adds and runs so many jobs by a queue of its own, so that what is measured next is compiled code. */
export async function warmUp(url, jobs, options) {
  const own = open(url, options);
  const ran = own.jobs(jobs);
  await inFlight(jobs, CONCURRENCY, () => own.queue.add('noop', { a: 1 }));
  await own.start();
  await ran;
  await own.close();
}
