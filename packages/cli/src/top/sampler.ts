/** What happens in each queue between two looks. */
import type { App, AppEvent, QueueInfo, WorkerInfo } from '@umbel/core';
import { currentTime } from '../operating/times.js';

interface Rates {
  /** A second, each. */
  readonly enqueued: number;
  readonly completed: number;
  readonly failed: number;
  readonly retried: number;
}

export interface Snapshot {
  readonly at: Date;
  readonly app: string;
  /** What the rates are counted over. */
  readonly overMs: number;
  readonly workers: readonly WorkerInfo[];
  readonly queues: readonly (QueueInfo & { readonly rates: Rates })[];
}

const COUNTED = ['enqueued', 'completed', 'failed', 'retried'] as const;
type Counted = (typeof COUNTED)[number];

export class Sampler {
  readonly #app: App;
  readonly #counts = new Map<string, Record<Counted, number>>();
  #since = performance.now();

  constructor(app: App) {
    this.#app = app;
  }

  /** Counts until `signal` is aborted. */
  async listen(signal: AbortSignal): Promise<void> {
    for await (const event of this.#app.events({ types: COUNTED, signal })) this.#count(event);
  }

  /** How all is now, and what has happened since the last look. */
  async look(): Promise<Snapshot> {
    const [workers, queues] = await Promise.all([this.#app.inspect.workers(), this.#app.inspect.queues()]);
    const now = performance.now();
    const overMs = now - this.#since;
    const counts = new Map(this.#counts);
    this.#counts.clear();
    this.#since = now;
    return {
      at: new Date(currentTime()),
      app: this.#app.name,
      overMs: Math.round(overMs),
      workers,
      queues: queues.map((queue) => ({ ...queue, rates: ratesOf(counts.get(queue.name), overMs) })),
    };
  }

  #count({ type, ...event }: AppEvent): void {
    if (!('queue' in event) || !(COUNTED as readonly string[]).includes(type)) return;
    const counts = this.#counts.get(event.queue) ?? { enqueued: 0, completed: 0, failed: 0, retried: 0 };
    counts[type as Counted] += 1;
    this.#counts.set(event.queue, counts);
  }
}

function ratesOf(counts: Readonly<Record<Counted, number>> | undefined, overMs: number): Rates {
  const rate = (type: Counted) => Math.round(((counts?.[type] ?? 0) / Math.max(1, overMs)) * 10_000) / 10;
  return {
    enqueued: rate('enqueued'),
    completed: rate('completed'),
    failed: rate('failed'),
    retried: rate('retried'),
  };
}
