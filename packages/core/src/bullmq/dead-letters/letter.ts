/** Dead letters as they are told. */
import type { ErrorRecord } from '../../errors.js';
import { momentOf, type StoredJob } from '../stored-job.js';
import type { FailedJob } from './failed-jobs.js';
import { cursorOf, type Wanted } from './query.js';

/** A job that has failed for good. */
export interface DeadLetter {
  readonly id: string;
  /** The task's name; `'unknown'` if it cannot be read. */
  readonly task: string;
  readonly queue: string;
  readonly state: 'failed' | 'expired' | 'revoked' | 'skipped';
  /** As it was sent; undefined if it cannot be read. Of a step, what is bound of it. */
  readonly input: unknown;
  readonly attempts: number;
  /** Of one whose time cannot be read, that of the one before it in the list, or 1970. */
  readonly failedAt: Date;
  /** With its causes and stacks, as far as they were kept. */
  readonly error: ErrorRecord;
  /** The composition it is a step of. */
  readonly runId?: string;
  /** To go on after this one, with the same filter: `list({ cursor })`. */
  readonly cursor: string;
}

/** What happened to a job, and when. */
export interface Timeline {
  /** Absent if it cannot be read. */
  readonly enqueuedAt?: Date;
  /** When it was replayed last. */
  readonly replayedAt?: Date;
  /** When the last attempt began; absent if there was none. */
  readonly startedAt?: Date;
  readonly failedAt: Date;
}

/** All that is known of a dead letter. Its `input` is as the handler got it, also with what earlier steps have given. */
export interface DeadLetterDetails extends Omit<DeadLetter, 'cursor'> {
  readonly displayName: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly timeline: Timeline;
  /** Lines that its handler has logged, oldest first. */
  readonly logs: readonly string[];
  /** When it was noticed that its worker had ended before its handler did: why it is poison, or is coming to it. */
  readonly lostStarts: readonly Date[];
  /** The job whose handler sent it. */
  readonly parentId?: string;
  readonly canReplay: boolean;
  /** Why it cannot be replayed, and what to do instead. */
  readonly whyNot?: string;
}

export function letterOf(failed: FailedJob): DeadLetter {
  return { ...outlined(failed, failed.at), cursor: cursorOf(failed) };
}

function outlined(
  { job, unreadable }: Pick<FailedJob, 'job' | 'unreadable'>,
  at: number,
): Omit<DeadLetter, 'cursor'> {
  const { id, name, queue, envelope, attempts, failedReason } = job;
  const run = runOf(job);
  return {
    id,
    task: name,
    queue,
    state: envelope?.failure?.state ?? 'failed',
    input: envelope?.input,
    attempts,
    failedAt: new Date(at),
    error: envelope?.failure?.error ?? reasonOf(failedReason, unreadable),
    ...(run !== undefined && { runId: run }),
  };
}

function reasonOf(reason: string | undefined, unreadable: string | undefined): ErrorRecord {
  if (unreadable === undefined) return { name: 'Error', message: reason ?? '' };
  return {
    name: 'CorruptJobError',
    code: 'CORRUPT_JOB',
    message: reason ?? `It cannot be read: ${unreadable}.`,
  };
}

export function detailsOf(
  failed: Pick<FailedJob, 'job' | 'unreadable'>,
  logs: readonly string[],
): DeadLetterDetails {
  const { job } = failed;
  const { label, headers = {}, tags = [], parent, lost, replayed } = job.envelope ?? {};
  const {
    enqueuedAt = 0,
    startedAt,
    failedAt = 0,
  } = {
    enqueuedAt: momentOf(job.enqueuedAt),
    startedAt: momentOf(job.startedAt),
    failedAt: momentOf(job.finishedAt),
  };
  const whyNot = refusalOf(failed);
  return {
    ...outlined(failed, failedAt),
    displayName: label ?? job.name,
    headers,
    tags,
    timeline: {
      ...(enqueuedAt > 0 && { enqueuedAt: new Date(enqueuedAt) }),
      ...(replayed !== undefined && { replayedAt: new Date(replayed.at) }),
      ...(startedAt !== undefined && { startedAt: new Date(startedAt) }),
      failedAt: new Date(failedAt),
    },
    logs,
    lostStarts: (lost?.fatal ?? lost?.at ?? []).map((at) => new Date(at)),
    ...(parent !== undefined && { parentId: parent }),
    canReplay: whyNot === undefined,
    ...(whyNot !== undefined && { whyNot }),
  };
}

/** Why a failed job cannot be replayed, with its input or another one; undefined if it can. */
export function refusalOf(
  { job, unreadable }: Pick<FailedJob, 'job' | 'unreadable'>,
  isEdited = false,
): string | undefined {
  const { id } = job;
  if (unreadable !== undefined) return `Job ${id} cannot be run: ${unreadable}. It can only be discarded.`;
  const run = runOf(job);
  if (run === undefined) return isEdited ? undefined : replacedRefusal(job);
  return run === id
    ? `Job ${id} is a composition: resume it, with app.result('${id}').resume().`
    : `Job ${id} is a step of run ${run}, which has failed with it: resume that, with app.result('${run}').resume().`;
}

/** Its handler has run, and what it has put in its job's place is what failed. */
function replacedRefusal({ id, envelope }: StoredJob): string | undefined {
  if (envelope?.replacement === undefined) return undefined;
  return (
    `Job ${id} has put something in its place with ctx.replace: go on where that has failed, with ` +
    `app.result('${id}').resume(); or run its handler again with another input, with ` +
    `app.deadLetters.replay('${id}', { input }).`
  );
}

/** Whether a failed job is a dead letter of its own, and one of those that are asked for. */
export function isWanted({ job, unreadable }: FailedJob, wanted: Wanted): boolean {
  if (!isOwnFailure(job)) return false;
  const { task, tag, state, error } = wanted;
  const { failure, tags = [] } = job.envelope ?? {};
  if (task !== undefined && job.name !== task) return false;
  if (tag !== undefined && !tags.includes(tag)) return false;
  if (state !== undefined && (failure?.state ?? 'failed') !== state) return false;
  if (error === undefined) return true;
  const { name, code } = failure?.error ?? reasonOf(job.failedReason, unreadable);
  return name === error || (code !== undefined && String(code) === error);
}

/**
 * Whether a job has failed itself: neither because one that it waited for has, nor because it was revoked, or not needed
 * any more.
 */
function isOwnFailure({ id, envelope }: StoredJob): boolean {
  const { failure, after } = envelope ?? {};
  if (failure === undefined) return true;
  if (failure.state === 'revoked' || failure.state === 'skipped') return false;
  return after === undefined || failure.jobId === id;
}

/** The composition that a job is a step of. */
function runOf({ envelope }: StoredJob): string | undefined {
  return envelope?.alone ? undefined : envelope?.run;
}
