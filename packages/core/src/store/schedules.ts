/**
 * This module stores schedules. Each schedule is one job of the internal queue that never ends: it fires its occurrences
 * and is delayed again until the next one; its lock ensures that one worker at a time does this. The list of schedules is
 * a queue that no worker serves, with one job for each schedule.
 */

import { type Envelope, type EnvelopeContent, encodeEnvelope, readEnvelope } from '../job/envelope.js';
import { digestId } from '../job/ids.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import { isFinal } from '../job/states.js';
import { mergeData } from './job-options.js';
import { primitivesOf } from './primitives/jobs.js';
import { jobStateOf, readJob } from './read.js';
import type { Store } from './store.js';
import type { StoredJob } from './stored-job.js';

/** The stored fields of a schedule. */
export type StoredSchedule = Pick<EnvelopeContent, 'schedule' | 'slots'>;

const INDEX_QUEUE = 'umbel.schedules';
const PAGE = 1000;
/** How often, and at what interval, to check whether a worker still holds a schedule's job. */
const BUSY = { times: 250, pauseMs: 20 };

/** Returns the id of a schedule's job: a hash, because names may contain characters that ids may not. */
export function scheduleId(name: string): string {
  return `schedule-${digestId(name, 32)}`;
}

export class ScheduleStore {
  readonly #store: Store;
  readonly #pause: (ms: number) => Promise<void>;

  constructor(store: Store, pause: (ms: number) => Promise<void>) {
    this.#store = store;
    this.#pause = pause;
  }

  /** Adds schedules to the list. Call it before storing them, so that every stored schedule is listed. */
  async note(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const entries = names.map((name) => ({
      name: 'schedule',
      data: encodeEnvelope({ input: { name } }),
      opts: { jobId: scheduleId(name) },
    }));
    await this.#store.on(INDEX_QUEUE, (bull) => bull.addBulk(entries));
  }

  /** Returns the listed names; some of the schedules may have been removed. */
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

  /** Returns the job of a schedule; undefined if there is none or it is marked as removed. */
  async find(name: string): Promise<StoredJob | undefined> {
    const job = await readJob(this.#store, { queue: INTERNAL_QUEUE, id: scheduleId(name) });
    return job?.envelope?.schedule?.removed === undefined ? job : undefined;
  }

  /** Returns whether a job has ended or is missing. Calls in the same turn of the event loop share a command. */
  async hasEnded(queue: string, id: string): Promise<boolean> {
    const hasEnded = await this.#store.on(queue, async (bull) =>
      primitivesOf(bull.getBackend())?.hasEnded?.(id),
    );
    if (hasEnded === true) return true;
    const state = await jobStateOf(this.#store, { queue, id });
    return isFinal(state) || state === 'unknown';
  }

  /** Adds a schedule. An existing one stays unchanged. */
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
   * Changes the stored fields of a schedule. Returns the fields after the change, or undefined if the schedule is missing.
   * Unreadable fields are passed as absent.
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

  /** Makes a changed schedule compute its next occurrence again. */
  async wake(name: string): Promise<void> {
    const id = scheduleId(name);
    await this.#untilFree(id, async (state) => {
      if (state !== 'delayed') return;
      await this.#store.on(INTERNAL_QUEUE, async (bull) => {
        const job = await bull.getJob(id);
        await job?.promote().catch(() => {}); // its occurrence may have become due
      });
    });
  }

  /** Removes a schedule. If a dead worker holds it, it is marked, and the next worker that claims it removes it. */
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

  /** Calls `then` once no worker holds the job; gives up after a few seconds. */
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
