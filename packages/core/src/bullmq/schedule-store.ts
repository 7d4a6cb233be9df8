/**
 * The schedules in the store. Each is one job of the internal queue that never ends: it fires its slots and goes back to
 * being delayed until the next one; its lock makes that one worker's work at a time. Which schedules there are is told by
 * a queue that nobody serves, with a job for each.
 */
import { createHash } from 'node:crypto';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../flow/node.js';
import { isFinal } from '../results/state.js';
import { type Envelope, type EnvelopeContent, encodeEnvelope, readEnvelope } from '../wire/envelope.js';
import { mergeData } from './merge-data.js';
import { primitivesOf } from './primitives/jobs.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

/** What is stored of a schedule. */
export type StoredSchedule = Pick<EnvelopeContent, 'schedule' | 'slots'>;

const INDEX_QUEUE = 'umbel.schedules';
const PAGE = 1000;
/** How long it is waited for a worker that has a schedule's job, and in what steps. */
const BUSY = { times: 250, pauseMs: 20 };

/** The id of a schedule's job. Hashed: names may have what ids may not. */
export function scheduleId(name: string): string {
  return `schedule-${createHash('sha256').update(name).digest('base64url').slice(0, 32)}`;
}

export class ScheduleStore {
  readonly #store: Store;
  readonly #pause: (ms: number) => Promise<void>;

  constructor(store: Store, pause: (ms: number) => Promise<void>) {
    this.#store = store;
    this.#pause = pause;
  }

  /** Notes that there are these schedules; before they are stored, so that each that is stored is found. */
  async note(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const entries = names.map((name) => ({
      name: 'schedule',
      data: encodeEnvelope({ input: { name } }),
      opts: { jobId: scheduleId(name) },
    }));
    await this.#store.on(INDEX_QUEUE, (bull) => bull.addBulk(entries));
  }

  /** The names that were noted; some may be of schedules that are gone. */
  async names(): Promise<string[]> {
    const names: string[] = [];
    for (let start = 0; ; start += PAGE) {
      const jobs = await this.#store.on(INDEX_QUEUE, (bull) =>
        bull.getJobs(['waiting'], start, start + PAGE - 1, true),
      );
      for (const job of jobs) {
        const input: unknown = job?.data?.input;
        const name = typeof input === 'object' && input !== null && 'name' in input ? input.name : undefined;
        if (typeof name === 'string' && job.id === scheduleId(name)) names.push(name);
      }
      if (jobs.length < PAGE) return [...new Set(names)].sort();
    }
  }

  /** The job of a schedule, or undefined; one that was to be removed is none. */
  async find(name: string): Promise<StoredJob | undefined> {
    const job = await this.#store.job(INTERNAL_QUEUE, scheduleId(name));
    return job?.envelope?.schedule?.removed === undefined ? job : undefined;
  }

  /** Whether a job has ended or is gone. Many that are asked for in the same turn share a command. */
  async hasEnded(queue: string, id: string): Promise<boolean> {
    const hasEnded = await this.#store.on(queue, async (bull) =>
      primitivesOf(bull.getBackend())?.hasEnded?.(id),
    );
    if (hasEnded === true) return true;
    const state = await this.#store.state(queue, id);
    return isFinal(state) || state === 'unknown';
  }

  /** Adds a schedule that is not there; one that is stays as it is. */
  async add(name: string, content: StoredSchedule, delayMs: number): Promise<void> {
    const id = scheduleId(name);
    await this.#store.on(INTERNAL_QUEUE, async (bull) => {
      const state = await bull.getJobState(id);
      if (state === 'completed' || state === 'failed') await bull.remove(id);
      await bull.add(INTERNAL_JOB.schedule, encodeEnvelope(content), {
        jobId: id,
        delay: Math.max(0, delayMs),
        removeOnComplete: true,
      });
    });
  }

  /**
   * Changes what is stored of a schedule; gives it as it is then, or undefined if it is gone. What cannot be read of it
   * is told as absent.
   */
  async change(
    name: string,
    change: (stored: StoredSchedule) => StoredSchedule | undefined,
  ): Promise<StoredSchedule | undefined> {
    const data = await this.#store.on(INTERNAL_QUEUE, (bull) =>
      mergeData(bull.getBackend(), scheduleId(name), (current) => {
        const changed = change(readable(current));
        if (changed === undefined) return undefined;
        const { schedule: _schedule, slots: _slots, ...rest } = current;
        return { ...rest, ...changed };
      }),
    );
    return data && readable(data);
  }

  /** Lets a schedule decide anew, after it was changed. */
  async wake(name: string): Promise<void> {
    const id = scheduleId(name);
    await this.#untilFree(id, async (state) => {
      if (state !== 'delayed') return;
      await this.#store.on(INTERNAL_QUEUE, async (bull) => {
        const job = await bull.getJob(id);
        await job?.promote().catch(() => {}); // its slot may have come
      });
    });
  }

  /** Removes a schedule; one that a dead worker holds is marked, and removed by the next one that takes it. */
  async remove(name: string, now: number): Promise<void> {
    const id = scheduleId(name);
    await this.change(name, ({ schedule, ...rest }) =>
      schedule === undefined ? undefined : { ...rest, schedule: { ...schedule, removed: now } },
    );
    await this.#untilFree(id, async () => {
      await this.#store.on(INTERNAL_QUEUE, (bull) => bull.remove(id));
    });
    await this.#store.on(INDEX_QUEUE, (bull) => bull.remove(id));
  }

  /** Does something once no worker has the job; not if one has it for long. */
  async #untilFree(id: string, then: (state: string) => Promise<void>): Promise<void> {
    for (let times = 0; times < BUSY.times; times += 1) {
      const state = await this.#store.on(INTERNAL_QUEUE, (bull) => bull.getJobState(id));
      if (state !== 'active') return then(state);
      await this.#pause(BUSY.pauseMs);
    }
  }
}

function readable(data: Envelope): StoredSchedule {
  const { schedule, slots } = readEnvelope(data);
  return { ...(schedule !== undefined && { schedule }), ...(slots !== undefined && { slots }) };
}
