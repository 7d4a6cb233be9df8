import {
  type BackendFactory,
  FlowProducer,
  type FlowProducerOptions,
  type Job,
  type Processor,
  Queue,
  QueueEvents,
  Worker,
  type WorkerOptions,
} from 'bullmq';
import { onTestFinished } from 'vitest';
import { type Clock, memory } from '../../src/memory/index.js';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<Timer>();

  constructor(start = Date.UTC(2030, 0, 1)) {
    this.#now = start;
  }

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  setTimeout(run: () => void, ms: number): Timer {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(handle: unknown): void {
    this.#timers.delete(handle as Timer);
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter((timer) => timer.at <= this.#now).sort((a, b) => a.at - b.at);
    for (const timer of due) {
      if (this.#timers.delete(timer)) timer.run();
    }
  }
}

/** BullMQ's classes on one store; what a test opens is closed when it ends. */
export function openKit(factory: BackendFactory = memory()) {
  const connection = {};
  const opened: { close(): Promise<unknown> }[] = [];
  onTestFinished(async () => {
    for (const part of opened.reverse()) await part.close();
  });
  function keep<T extends { close(): Promise<unknown> }>(part: T): T {
    opened.push(part);
    return part;
  }
  return {
    factory,
    queue: (name = 'work') => keep(new Queue(name, { connection }, factory)),
    events: (name = 'work') => keep(new QueueEvents(name, { connection }, factory)),
    flows: (options: Partial<FlowProducerOptions> = {}) =>
      keep(new FlowProducer({ connection, ...options }, factory)),
    worker: (process: Processor, options: Partial<WorkerOptions> = {}, name = 'work') =>
      keep(new Worker(name, process, { connection, ...options }, factory)),
    /** A worker that takes jobs only when asked to. */
    hand: (options: Partial<WorkerOptions> = {}, name = 'work') =>
      keep(new Worker(name, null, { connection, autorun: false, ...options }, factory)),
  };
}

/** The next job of a worker that takes jobs only when asked to. */
export async function take(
  worker: { getNextJob(token: string, options: { block: boolean }): Promise<Job | undefined> },
  token = 'token',
): Promise<Job> {
  const job = await worker.getNextJob(token, { block: false });
  if (!job) throw new Error('There is no job to take.');
  return job;
}

/** The arguments of the next event of a name. */
export function once(
  emitter: { once(event: never, listener: (...args: never[]) => void): unknown },
  event: string,
): Promise<unknown[]> {
  return new Promise((resolve) => {
    emitter.once(event as never, (...args: unknown[]) => resolve(args));
  });
}
