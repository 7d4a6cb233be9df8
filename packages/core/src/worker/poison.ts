/**
 * The poison rule: which jobs are not started again because every start ends their worker. The executor applies it.
 *
 * W2 (a failure window of `docs/reliability.md`): a worker that crashes loses all its jobs, and most of them did not cause
 * it. So a crash counts only against a job that ran exclusively in its process. A job that was lost twice starts
 * exclusively (`PoisonGate`) until a start has an outcome. Two kinds of losses never count: a start that did not reach its
 * handler, and a start whose worker is alive. Such a worker reports it when it finds its lock gone (`spareStart`).
 */
import { JobStateError } from '../base/errors.js';
import { PoisonJobError } from '../base/failures.js';
import type { Clock } from '../base/time.js';
import {
  type Envelope,
  encodeEnvelope,
  isEnvelope,
  type LostStart,
  type LostStarts,
  readEnvelope,
} from '../job/envelope.js';
import type { ActiveJob, UnreadableJob } from '../job/job.js';

/** Default number of losses of a job that ran exclusively, after which it is not started again. */
export const MAX_LOST_STARTS = 5;

/** Losses after which a job starts exclusively. */
const SUSPICIOUS_AFTER = 2;

/** A loss this long after the previous one starts a new count. */
const GAP_MS = 600_000;

/** How long a job runs exclusively: `first`, multiplied by `factor` after each further loss, up to `longest`. */
const EXCLUSIVE_MS = { first: 1000, factor: 5, longest: 600_000 };

/** Longest wait of a job until the running jobs have ended. */
const LONGEST_DRAIN_MS = 10_000;

type Start = Pick<ActiveJob, 'stalls' | 'starts'>;

/** Returns the losses that count for a job that is about to start again, including the last one. */
export function lossesOf(
  stored: LostStarts | undefined,
  { stalls, starts }: Start,
  now: number,
): LostStart[] {
  // The first start of a job stores nothing: whether it has reached the handler is unknown.
  if (stored === undefined) return [{ at: now, start: starts - 1 }];
  const known = latestInARow(storedLosses(stored), now);
  const { begun, spared: last } = stored;
  // This start is stored already: the reply to that command was lost.
  if (begun === undefined || begun.start === starts) return known;
  // The stored start had an outcome, which clears the earlier losses.
  if (stalls === begun.stalls) return [];
  // Not every start since then was lost: the stored one had an outcome, and a later one was lost before its handler.
  if (starts - begun.start !== stalls - begun.stalls || last === begun.start) return known;
  return [...known, { at: now, start: begun.start, ...(begun.alone && { alone: true }) }];
}

/** Returns the record to store before a job starts, or when it returns to its queue without a start. */
export function withLosses(losses: readonly LostStart[]): LostStarts {
  return { at: losses.map(({ at }) => at), losses };
}

/** Returns the record to store right before the handler is called. */
export function withBegunStart(
  losses: readonly LostStart[],
  { stalls, starts }: Start,
  isExclusive: boolean,
): LostStarts {
  return { ...withLosses(losses), begun: { start: starts, stalls, ...(isExclusive && { alone: true }) } };
}

/**
 * Returns the record to store before a job is refused as poison. If the worker crashes before the refusal is stored, the
 * job is refused again. A refused job that is replayed starts with no losses.
 */
export function withRefusal(losses: readonly LostStart[], start: Start): LostStarts {
  return { ...withBegunStart(losses, start, false), fatal: losses.map(({ at }) => at) };
}

/** Returns the record of a start that no longer runs exclusively; undefined if it is not the last start. */
export function withSharedStart(
  stored: LostStarts | undefined,
  { starts }: Start,
): { readonly lost: LostStarts } | undefined {
  if (stored?.begun?.start !== starts || stored.begun.alone !== true) return undefined;
  const { start, stalls } = stored.begun;
  return { lost: { ...stored, begun: { start, stalls } } };
}

/** Returns the record without the loss of a start whose worker is alive; undefined for a job that failed already. */
export function spareStart({ lost }: Envelope, start: number): Pick<Envelope, 'lost'> | undefined {
  if (lost?.fatal !== undefined) return undefined;
  const losses = lost === undefined ? [] : storedLosses(lost).filter((loss) => loss.start !== start);
  return { lost: { ...lost, ...withLosses(losses), spared: start } };
}

/** Whether a job was lost often enough to run exclusively. */
export function isSuspicious(losses: readonly LostStart[]): boolean {
  return losses.length >= SUSPICIOUS_AFTER;
}

/** Whether a job was lost too often while it ran exclusively, and must not start again. */
export function isPoison(losses: readonly LostStart[], max = MAX_LOST_STARTS): boolean {
  return losses.filter(({ alone }) => alone === true).length >= max;
}

/** Returns how long a suspicious job runs exclusively, and how long it waits first for the running jobs. */
export function exclusiveTimes({ length }: readonly LostStart[]): { exclusiveMs: number; drainMs: number } {
  const { first, factor, longest } = EXCLUSIVE_MS;
  const exclusiveMs = Math.min(longest, first * factor ** Math.max(0, length - SUSPICIOUS_AFTER));
  return { exclusiveMs, drainMs: Math.min(exclusiveMs, LONGEST_DRAIN_MS) };
}

export function poisonError(task: string, losses: readonly LostStart[]): PoisonJobError {
  const exclusive = losses.filter(({ alone }) => alone === true).length;
  return new PoisonJobError(
    `A job of task "${task}" ended its worker ${losses.length} times in a row, ${exclusive} times while no other job started ` +
      'there. It is not started again. Check what its handler does to the process (exit, memory, an endless loop). ' +
      'Run it once more with app.deadLetters.replay.',
  );
}

/** Returns the stored losses. Older versions stored only their times. */
function storedLosses({ at, losses }: LostStarts): readonly LostStart[] {
  return losses ?? at.map((time) => ({ at: time, start: 0 }));
}

/** Returns the latest losses that follow each other within `GAP_MS`. */
function latestInARow(losses: readonly LostStart[], now: number): LostStart[] {
  let next = now;
  let from = losses.length;
  for (const { at } of losses.toReversed()) {
    if (next - at >= GAP_MS) break;
    next = at;
    from -= 1;
  }
  return losses.slice(from);
}

/** Longest wait of a suspicious job for its exclusive run; then another process may take it. */
const EXCLUSIVE_WAIT_MS = 5000;

/** Longest wait of another job while one runs exclusively here; then another process may take it. */
const HELD_MS = 15_000;

interface WaitingJob {
  readonly admit: () => void;
  readonly refuse: () => void;
}

/**
 * Runs a suspicious job exclusively in its process, so that a crash of the process identifies the job at fault.
 *
 * During an exclusive run no other job starts: claimed jobs wait. The suspicious job waits for earlier exclusive runs, then
 * for the running jobs, for a limited time: a job that has run for long is unlikely to crash the process just now.
 * All changes of state are synchronous, so no job can start between two of them.
 */
export class PoisonGate {
  readonly #clock: Clock;
  #running = 0;
  #exclusiveRun: ExclusiveRun | undefined;
  readonly #held = new Set<WaitingJob>();
  readonly #waitingForExclusive = new Set<WaitingJob>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a job that starts. During an exclusive run it returns a promise of whether the job may start. */
  enter(): Promise<boolean> | undefined {
    if (this.#exclusiveRun !== undefined) return this.#wait(this.#held, HELD_MS);
    this.#running += 1;
    return undefined;
  }

  /** Call it when a job that entered has ended. */
  leave(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#exclusiveRun?.drained();
  }

  /** Starts an exclusive run after the running jobs or after `drainMs`. Undefined if earlier exclusive runs last too long. */
  async runExclusively(drainMs: number): Promise<ExclusiveRun | undefined> {
    if (this.#exclusiveRun !== undefined && !(await this.#wait(this.#waitingForExclusive, EXCLUSIVE_WAIT_MS)))
      return undefined;
    const run = this.#exclusiveRun ?? this.#startExclusiveRun();
    if (this.#running > 0) await this.#waitForDrain(run, drainMs);
    return run;
  }

  /** Refuses all waiting jobs: the worker is closing. */
  close(): void {
    this.#isClosed = true;
    for (const { refuse } of [...this.#held, ...this.#waitingForExclusive]) refuse();
  }

  #startExclusiveRun(): ExclusiveRun {
    this.#exclusiveRun = new ExclusiveRun(
      (run, isRunning) => this.#release(run, isRunning),
      () => this.leave(),
    );
    return this.#exclusiveRun;
  }

  /** Starts the jobs that were held, and after them the next exclusive run. */
  #release(run: ExclusiveRun, isRunning: boolean): void {
    if (this.#exclusiveRun !== run) return;
    this.#exclusiveRun = undefined;
    if (isRunning) this.#running += 1;
    const held = [...this.#held];
    this.#running += held.length;
    for (const { admit } of held) admit();
    const [next] = this.#waitingForExclusive;
    if (next === undefined) return;
    this.#startExclusiveRun();
    next.admit();
  }

  #wait(among: Set<WaitingJob>, ms: number): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isAdmitted: boolean) => {
        this.#clock.clearTimeout(timer);
        among.delete(waiting);
        resolve(isAdmitted);
      };
      const waiting: WaitingJob = { admit: () => end(true), refuse: () => end(false) };
      const timer = this.#clock.setDeadline(waiting.refuse, ms);
      among.add(waiting);
    });
  }

  #waitForDrain(run: ExclusiveRun, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
      const timer = this.#clock.setDeadline(end, ms);
      run.onDrained = end;
    });
  }
}

/** The exclusive run of one job. */
export class ExclusiveRun {
  onDrained: (() => void) | undefined;
  readonly #release: (run: ExclusiveRun, isRunning: boolean) => void;
  readonly #leave: () => void;
  #state: 'exclusive' | 'shared' | 'ended' = 'exclusive';

  constructor(release: (run: ExclusiveRun, isRunning: boolean) => void, leave: () => void) {
    this.#release = release;
    this.#leave = leave;
  }

  get isExclusive(): boolean {
    return this.#state === 'exclusive';
  }

  drained(): void {
    this.onDrained?.();
  }

  /** Lets other jobs start alongside this one from now on. */
  share(): void {
    if (this.#state !== 'exclusive') return;
    this.#state = 'shared';
    this.#release(this, true);
  }

  /** Call it when the job has ended. */
  end(): void {
    if (this.#state === 'ended') return;
    const isShared = this.#state === 'shared';
    this.#state = 'ended';
    if (isShared) this.#leave();
    else this.#release(this, false);
  }
}

// Jobs whose stored data cannot be read: what the hooks of their failure receive.

/** Returns the readable fields of stored data that is invalid as a whole. */
export function readableEnvelope(data: unknown): Envelope {
  return encodeEnvelope(isEnvelope(data) ? readEnvelope(data as Envelope) : {}); // each field is checked
}

/** Returns a job that cannot be read in the form that the context of its hooks needs. It has ended: changing it throws. */
export function activeJobOf({ id, queue, log }: UnreadableJob): ActiveJob {
  const refuse = () =>
    Promise.reject(new JobStateError(`Job ${id} has failed because its stored data cannot be read.`));
  const { signal } = new AbortController();
  return {
    id,
    queue,
    name: 'unknown',
    data: undefined,
    attempt: 1,
    starts: 1,
    stalls: 0,
    retry: undefined,
    priority: undefined,
    enqueuedAt: 0,
    delayMs: 0,
    signal,
    giveUp() {},
    onGiveUp() {},
    offGiveUp() {},
    chargeLossIf() {},
    onceStored: (listener) => listener(),
    mayHavePendingChildren: false,
    refusedWaits: 0,
    expectChildren: () => {},
    childResults: async () => new Map(),
    failedChildren: async () => [],
    endedChildren: new Map(),
    save: refuse,
    change: refuse,
    endUniqueness: refuse,
    updateProgress: refuse,
    log,
  };
}
