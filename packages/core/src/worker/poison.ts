/**
 * The poison rule: which jobs are not started any more, since each start of theirs ends its worker.
 *
 * W2: a worker that dies takes all its jobs with it, and most of them have no fault. So a death counts only against a job
 * that ran alone in its process. A job that was lost twice is started alone (`isolation.ts`) until a start has an outcome.
 * These losses do not count at all: of a start that did not reach its handler; of a start whose worker lives, which it
 * says itself as soon as it finds its lock gone (`spareStart`).
 */
import { JobStateError, PoisonJobError } from '../base/errors.js';
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

/** Losses of a job that ran alone, after which it is not started any more, unless the worker says otherwise. */
export const MAX_LOST_STARTS = 5;

/** Losses after which a job is started alone. */
const SUSPICIOUS_AFTER = 2;

/** A loss that comes later after the one before it begins a new count. */
const GAP_MS = 600_000;

/** How long a job stays alone: so long at first, and so many times as long after each further loss. */
const ALONE_MS = { first: 1000, factor: 5, longest: 600_000 };

/** How long a job waits at most until those that run beside it have ended. */
const LONGEST_DRAIN_MS = 10_000;

type Start = Pick<ActiveJob, 'stalls' | 'starts'>;

/** The losses that count for a job that is to start once more, the last one included. */
export function lossesOf(
  stored: LostStarts | undefined,
  { stalls, starts }: Start,
  now: number,
): LostStart[] {
  // The first start of a job stores nothing: whether it has reached the handler is unknown.
  if (stored === undefined) return [{ at: now, start: starts - 1 }];
  const known = inARow(recorded(stored), now);
  const { begun, spared: last } = stored;
  // This start is noted already: the answer to that was lost.
  if (begun === undefined || begun.start === starts) return known;
  // It had an outcome, which clears what was before.
  if (stalls === begun.stalls) return [];
  // Where not every start since was put back, the noted one had an outcome, and a later one was lost before its handler.
  if (starts - begun.start !== stalls - begun.stalls || last === begun.start) return known;
  return [...known, { at: now, start: begun.start, ...(begun.alone && { alone: true }) }];
}

/** What is stored before the job is started, or goes back without a start. */
export function withLosses(losses: readonly LostStart[]): LostStarts {
  return { at: losses.map(({ at }) => at), losses };
}

/** The same, right before the handler is called. */
export function begun(losses: readonly LostStart[], { stalls, starts }: Start, isAlone: boolean): LostStarts {
  return { ...withLosses(losses), begun: { start: starts, stalls, ...(isAlone && { alone: true }) } };
}

/**
 * What is stored before a job is refused as poison. If its worker dies before the refusal is stored, the job is refused
 * again; one that was refused and is replayed starts with no losses.
 */
export function refused(losses: readonly LostStart[], start: Start): LostStarts {
  return { ...begun(losses, start, false), fatal: losses.map(({ at }) => at) };
}

/** The same of a start that is no longer alone; undefined if it is not the last one. */
export function shared(
  stored: LostStarts | undefined,
  { starts }: Start,
): { readonly lost: LostStarts } | undefined {
  if (stored?.begun?.start !== starts || stored.begun.alone !== true) return undefined;
  const { start, stalls } = stored.begun;
  return { lost: { ...stored, begun: { start, stalls } } };
}

/** Takes back the loss of a start whose worker lives; undefined for a job that was failed already. */
export function spareStart({ lost }: Envelope, start: number): Pick<Envelope, 'lost'> | undefined {
  if (lost?.fatal !== undefined) return undefined;
  const losses = lost === undefined ? [] : recorded(lost).filter((loss) => loss.start !== start);
  return { lost: { ...lost, ...withLosses(losses), spared: start } };
}

/** Whether a job was lost so often that it is to run alone. */
export function isSuspicious(losses: readonly LostStart[]): boolean {
  return losses.length >= SUSPICIOUS_AFTER;
}

/** Whether a job was lost so often while it ran alone that it is not to be started any more. */
export function isPoison(losses: readonly LostStart[], max = MAX_LOST_STARTS): boolean {
  return losses.filter(({ alone }) => alone === true).length >= max;
}

/** How long a suspicious job is alone from its start on, and how long it waits for those that run already. */
export function timesAlone({ length }: readonly LostStart[]): { aloneMs: number; drainMs: number } {
  const { first, factor, longest } = ALONE_MS;
  const aloneMs = Math.min(longest, first * factor ** Math.max(0, length - SUSPICIOUS_AFTER));
  return { aloneMs, drainMs: Math.min(aloneMs, LONGEST_DRAIN_MS) };
}

export function poisonError(task: string, losses: readonly LostStart[]): PoisonJobError {
  const alone = losses.filter((loss) => loss.alone === true).length;
  return new PoisonJobError(
    `Task "${task}" has ended its worker ${losses.length} times in a row, ${alone} times while nothing else was started ` +
      'there. It is not started again. Look for what its handler does to the process (exit, memory, an endless loop); ' +
      'app.deadLetters.replay runs it once more.',
  );
}

/** Older versions store the times only. */
function recorded({ at, losses }: LostStarts): readonly LostStart[] {
  return losses ?? at.map((time) => ({ at: time, start: 0 }));
}

/** The last losses, as far as each follows the one before it soon. */
function inARow(losses: readonly LostStart[], now: number): LostStart[] {
  let next = now;
  let from = losses.length;
  for (const { at } of losses.toReversed()) {
    if (next - at >= GAP_MS) break;
    next = at;
    from -= 1;
  }
  return losses.slice(from);
}

// Lets a suspicious job start alone in its process, so that a death of the process tells which job is at fault.
// While a job is alone no other one starts here: those that are handed out wait. A job that is to be alone waits for its
// turn, then for those that run already, for a limited time: one that has run for long is unlikely to end the process
// just now. All changes are made at once and not in promises, so nobody slips in between.

/** How long a job waits for its turn to be alone, before another process may have it. */
const TURN_MS = 5000;

/** How long another job waits while one is alone here, before another process may have it. */
const HELD_MS = 15_000;

interface Waiting {
  readonly admit: () => void;
  readonly refuse: () => void;
}

export class Isolation {
  readonly #clock: Clock;
  #running = 0;
  #alone: Alone | undefined;
  readonly #held = new Set<Waiting>();
  readonly #turns = new Set<Waiting>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a job that starts now; while another one is alone, gives a promise of whether it may start in time. */
  enter(): Promise<boolean> | undefined {
    if (this.#alone !== undefined) return this.#wait(this.#held, HELD_MS);
    this.#running += 1;
    return undefined;
  }

  /** The job has ended. */
  leave(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#alone?.drained();
  }

  /** Lets a job start once it is alone, or has waited for `drainMs`. Undefined if its turn does not come in time. */
  async alone(drainMs: number): Promise<Alone | undefined> {
    if (this.#alone !== undefined && !(await this.#wait(this.#turns, TURN_MS))) return undefined;
    const alone = this.#alone ?? this.#startTurn();
    if (this.#running > 0) await this.#drained(alone, drainMs);
    return alone;
  }

  /** Lets nobody wait any more: the worker goes. */
  close(): void {
    this.#isClosed = true;
    for (const { refuse } of [...this.#held, ...this.#turns]) refuse();
  }

  #startTurn(): Alone {
    this.#alone = new Alone(
      (own, isRunning) => this.#open(own, isRunning),
      () => this.leave(),
    );
    return this.#alone;
  }

  /** Those that were held back start, and then the next one that is to be alone has its turn. */
  #open(own: Alone, isRunning: boolean): void {
    if (this.#alone !== own) return;
    this.#alone = undefined;
    if (isRunning) this.#running += 1;
    const held = [...this.#held];
    this.#running += held.length;
    for (const { admit } of held) admit();
    const [next] = this.#turns;
    if (next === undefined) return;
    this.#startTurn();
    next.admit();
  }

  #wait(among: Set<Waiting>, ms: number): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isAdmitted: boolean) => {
        this.#clock.clearTimeout(timer);
        among.delete(waiting);
        resolve(isAdmitted);
      };
      const waiting: Waiting = { admit: () => end(true), refuse: () => end(false) };
      const timer = this.#clock.setDeadline(waiting.refuse, ms);
      among.add(waiting);
    });
  }

  #drained(alone: Alone, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
      const timer = this.#clock.setDeadline(end, ms);
      alone.onDrained = end;
    });
  }
}

/** The turn of one job. */
export class Alone {
  onDrained: (() => void) | undefined;
  readonly #open: (own: Alone, isRunning: boolean) => void;
  readonly #leave: () => void;
  #state: 'alone' | 'shared' | 'ended' = 'alone';

  constructor(open: (own: Alone, isRunning: boolean) => void, leave: () => void) {
    this.#open = open;
    this.#leave = leave;
  }

  get isAlone(): boolean {
    return this.#state === 'alone';
  }

  drained(): void {
    this.onDrained?.();
  }

  /** Others may start beside it from now on. */
  share(): void {
    if (this.#state !== 'alone') return;
    this.#state = 'shared';
    this.#open(this, true);
  }

  /** The job has ended. */
  end(): void {
    if (this.#state === 'ended') return;
    const isShared = this.#state === 'shared';
    this.#state = 'ended';
    if (isShared) this.#leave();
    else this.#open(this, false);
  }
}

/** Jobs that fail before their handler is called, as far as anything is known of them for the hooks. */

/** The fields of a stored job that can be read, of data that cannot be used as a whole. */
export function readableEnvelope(data: unknown): Envelope {
  return encodeEnvelope(isEnvelope(data) ? readEnvelope(data as Envelope) : {}); // of which each field is checked
}

/** Such a job as the context of its hooks needs it; it has ended, so nothing else can be done with it. */
export function activeJobOf({ id, queue, log }: UnreadableJob): ActiveJob {
  const over = () => Promise.reject(new JobStateError(`Job ${id} cannot be read, and has failed.`));
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
    childResults: async () => new Map(),
    failedChildren: async () => [],
    endedChildren: new Map(),
    save: over,
    change: over,
    endUniqueness: over,
    updateProgress: over,
    log,
  };
}
