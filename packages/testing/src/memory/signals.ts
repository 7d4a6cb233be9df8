/** The records of signals and waits that Umbel keeps in a store, beyond BullMQ's contract: one for each signal and key. */
import {
  type CheckedWaits,
  type NewSignal,
  type OpenWaitPage,
  type OpenWaitRecord,
  type SignalDecision,
  type StartedWait,
  type WaitEnd,
  type WaitState,
  waitPosition,
} from '@umbel/core/internal';

/** What is known of the job of a wait. */
export type WaitingJob = 'missing' | 'failed' | 'completed' | 'open';

/** Returns the state of a job of the internal queue. */
type JobOf = (id: string) => WaitingJob;

interface SignalRecord {
  readonly signal: string;
  readonly key: string;
  state: 'sent' | 'waiting' | 'signalled' | 'ended';
  job?: string;
  since?: number;
  until?: number;
  payload?: string;
  token?: string;
  sentAt?: number;
  reason?: WaitEnd;
  /** Absent: it does not expire. */
  expiresAt?: number;
}

export class SignalRecords {
  readonly #records = new Map<string, SignalRecord>();

  /** Number of records. */
  get size(): number {
    return this.#records.size;
  }

  start(wait: StartedWait, now: number, jobOf: JobOf): WaitState {
    const { id, signal, key, job, since, until, isRestart } = wait;
    const found = this.#find(id, now);
    if (found?.state === 'waiting' || found?.state === 'signalled') {
      if (found.job === job) return stateOf(found);
      if (!isOver(jobOf(found.job ?? ''))) return { kind: 'other', job: found.job ?? '' };
    }
    if (found?.state === 'ended' && found.job === job && isRestart) return stateOf(found);
    const isSent = found?.state === 'sent';
    const record: SignalRecord = {
      ...{ signal, key, job, since, state: isSent ? 'signalled' : 'waiting' },
      ...(isSent && {
        payload: found.payload ?? '',
        token: found.token ?? '',
        sentAt: found.sentAt ?? now,
      }),
      ...(until !== undefined && { until }),
    };
    this.#records.delete(id);
    this.#records.set(id, record);
    return stateOf(record);
  }

  send(signal: NewSignal, now: number, jobOf: JobOf): SignalDecision {
    const { id, token, payload, keepMs, endedMs } = signal;
    const found = this.#find(id, now);
    if (found === undefined) {
      this.#records.set(id, {
        ...{ signal: signal.signal, key: signal.key, state: 'sent', token, payload, sentAt: signal.now },
        expiresAt: now + keepMs,
      });
      return { answer: 'accepted' };
    }
    const { state, job = '', until } = found;
    if (found.token === token) return { answer: 'accepted', ...(state === 'signalled' && { job }) };
    if (state === 'sent' || state === 'signalled')
      return { answer: 'duplicate', ...(state === 'signalled' && { job }) };
    if (state === 'ended') return { answer: found.reason === 'taken' ? 'duplicate' : 'tooLate' };
    const isDue = until !== undefined && signal.now >= until;
    if (isOver(jobOf(job)) || isDue) {
      finish(found, isDue ? 'timeout' : 'gone', now + endedMs);
      return { answer: 'tooLate' };
    }
    Object.assign(found, { state: 'signalled', payload, token, sentAt: signal.now });
    return { answer: 'accepted', job };
  }

  end(id: string, job: string, reason: WaitEnd, expiresAt: number, now: number, jobOf: JobOf): WaitState {
    const found = this.#find(id, now);
    if (found === undefined || found.job !== job) return { kind: 'ended', reason: 'gone' };
    const isKept = reason === 'taken' ? !isOver(jobOf(job)) : found.state === 'signalled';
    if (found.state !== 'ended' && !isKept) finish(found, reason, expiresAt);
    return stateOf(found);
  }

  reopen(id: string, job: string, now: number): void {
    const found = this.#find(id, now);
    if (found?.state === 'ended' && found.job === job) this.#records.delete(id);
  }

  find(id: string, now: number): OpenWaitRecord | undefined {
    const found = this.#find(id, now);
    return found && openWaitOf(id, found);
  }

  /** Returns the open waits, ordered by signal and start. */
  open(now: number): OpenWaitRecord[] {
    return this.#positions(now).map(([, wait]) => wait);
  }

  list(signal: string | undefined, after: string | undefined, limit: number, now: number): OpenWaitPage {
    const all = this.#positions(now).filter(
      ([position, wait]) =>
        (signal === undefined || wait.signal === signal) && (after === undefined || position > after),
    );
    const page = all.slice(0, limit);
    const last = page.at(-1);
    return {
      waits: page.map(([, wait]) => wait),
      ...(all.length > limit && last !== undefined && { next: last[0] }),
    };
  }

  check(
    after: string | undefined,
    limit: number,
    expiresAt: number,
    now: number,
    jobOf: JobOf,
  ): CheckedWaits {
    const { waits, next } = this.list(undefined, after, limit, now);
    let ended = 0;
    const unstarted: string[] = [];
    for (const { id, job, isSignalled } of waits) {
      const state = jobOf(job);
      const record = this.#records.get(id);
      if (record === undefined) continue;
      // The payload of a failed job stays, for a resume.
      if (isOver(state) && !(isSignalled && state === 'failed')) {
        finish(record, isSignalled ? 'taken' : 'gone', expiresAt);
        ended += 1;
      } else if (!isOver(state) && isSignalled) unstarted.push(job);
    }
    return { checked: waits.length, ended, unstarted, ...(next !== undefined && { next }) };
  }

  #find(id: string, now: number): SignalRecord | undefined {
    const found = this.#records.get(id);
    if (found?.expiresAt === undefined || found.expiresAt > now) return found;
    this.#records.delete(id);
    return undefined;
  }

  /** Open waits with their positions in the index, in its order. */
  #positions(now: number): [position: string, wait: OpenWaitRecord][] {
    const open: [string, OpenWaitRecord][] = [];
    for (const id of [...this.#records.keys()]) {
      const wait = this.find(id, now);
      if (wait !== undefined) open.push([waitPosition(wait, wait.since), wait]);
    }
    return open.sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function isOver(job: WaitingJob): boolean {
  return job !== 'open';
}

function finish(record: SignalRecord, reason: WaitEnd, expiresAt: number): void {
  delete record.payload;
  Object.assign(record, { state: 'ended', reason, expiresAt });
}

function stateOf({
  state,
  since = 0,
  until,
  payload = '',
  sentAt = 0,
  reason = 'gone',
}: SignalRecord): WaitState {
  if (state === 'signalled') return { kind: 'signalled', payload, at: sentAt };
  const times = { since, ...(until !== undefined && { until }) };
  return state === 'ended' ? { kind: 'ended', reason, ...times } : { kind: 'waiting', ...times };
}

function openWaitOf(id: string, record: SignalRecord): OpenWaitRecord | undefined {
  const { signal, key, state, job = '', since = 0, until } = record;
  if (state !== 'waiting' && state !== 'signalled') return undefined;
  return {
    ...{ id, signal, key, job, since, isSignalled: state === 'signalled' },
    ...(until !== undefined && { until }),
  };
}
