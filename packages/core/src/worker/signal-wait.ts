/**
 * Runs the job of a wait for a signal. Its first start registers the wait in the store and delays the job until the timeout,
 * so that the wait holds no worker, lock or attempt. A signal or a revocation starts it early. Each start reads the outcome
 * from the record of the wait, which exactly one of signal, timeout and revocation has decided.
 */
import { CorruptJobError, UnknownSignalError, ValidationError } from '../base/errors.js';
import {
  ExpiredError,
  RevokedError,
  SkippedError,
  signalConflictError,
  signalTimeoutError,
} from '../base/failures.js';
import { isPlainObject, kindOf, valueUnder } from '../base/text.js';
import type { Envelope } from '../job/envelope.js';
import type { ActiveJob } from '../job/job.js';
import {
  type BegunWait,
  isSignalKey,
  MAX_SIGNAL_KEY,
  type SignalWait,
  signalRecordId,
} from '../job/signal-wait.js';
import type { WaitEnd, WaitState } from '../store/primitives/signals.js';
import { endWait, startWait } from '../store/signals.js';
import { Snooze } from './control-flow.js';
import type { ExecutorDependencies } from './dependencies.js';

/** A wait without end is checked once in this time: the store cannot delay a job for longer than some years. */
const LONGEST_DELAY_MS = 365 * 86_400_000;

/** How long a signal waits for a worker that declares it. */
const UNKNOWN_SIGNAL_MS = 60_000;
/** How often it is offered to one. */
const OFFERED_EVERY_MS = 500;

type Dependencies = Pick<ExecutorDependencies, 'store' | 'runtime' | 'sealer' | 'signals' | 'onError'>;

/** A wait for a signal, as its job runs it. */
interface RunningWait {
  readonly job: ActiveJob;
  readonly wait: SignalWait;
  readonly record: string;
  readonly begun: BegunWait;
  readonly expiresAt: number | undefined;
}

/**
 * Returns the result of a wait: the payload of its signal, or the value for the timeout.
 * @param previous The previous value: the result of the step before, or the input.
 * @throws {Snooze} while it waits.
 */
export async function runSignalWait(
  dependencies: Dependencies,
  job: ActiveJob,
  envelope: Envelope,
  previous: unknown,
): Promise<unknown> {
  const { wait, waiting, run = job.id, expires, revoked } = envelope;
  if (wait === undefined) throw new CorruptJobError(job.id, 'a wait without a signal');
  const isRestart = waiting !== undefined;
  const now = dependencies.runtime.clock.now();
  if (!isRestart && revoked !== undefined) throw revocation(envelope);
  if (!mayHaveBegun(job, isRestart) && expires !== undefined && now >= expires) throw expired(wait);
  const key = waiting?.key ?? keyOf(wait, previous, run);
  if (wait.into !== undefined) checkObject(wait, previous);
  const planned = waiting ?? plannedWait(wait, key, now, expires);
  const record = signalRecordId(wait.signal, key);
  const current = { job, wait, record, begun: planned, expiresAt: expires };
  let state: WaitState;
  if (isRestart && revoked !== undefined)
    state = await endWait(dependencies.store, record, job.id, 'revoked');
  else if (isRestart && isDue(planned, now))
    state = await endWait(dependencies.store, record, job.id, 'timeout');
  else state = await start(dependencies, current, isRestart);
  const begun = registered(planned, state);
  return outcomeOf(dependencies, { ...current, begun }, envelope, previous, state);
}

/** Whether an earlier start of the job may have registered the wait, also one whose worker was lost before it stored that. */
function mayHaveBegun(job: ActiveJob, isRestart: boolean): boolean {
  return isRestart || job.starts > 1;
}

/** Registers the wait, unless it has a signal already. */
async function start(
  dependencies: Dependencies,
  { job, wait, record, begun }: RunningWait,
  isRestart: boolean,
): Promise<WaitState> {
  const { store, signals } = dependencies;
  await signals.noteSchema(wait.signal);
  const { key, since, until } = begun;
  const state = await startWait(store, {
    ...{ id: record, signal: wait.signal, key, job: job.id, since },
    ...(until !== undefined && { until }),
    isRestart: mayHaveBegun(job, isRestart),
  });
  if (isRestart || state.kind === 'other') return state;
  let isRevoked = false;
  // Whoever revokes the job marks it and then ends the wait that the data name. So either that command finds this wait, or
  // this one finds the mark.
  await job.change((data) => {
    isRevoked = data.revoked !== undefined;
    return { waiting: registered(begun, state) };
  });
  return isRevoked ? endWait(store, record, job.id, 'revoked') : state;
}

/** Returns the wait with the times of its record, which an earlier start of the job may have written. */
function registered(planned: BegunWait, state: WaitState): BegunWait {
  if (!('since' in state) || state.since === undefined) return planned;
  const { since, until } = state;
  return { key: planned.key, since, ...(until !== undefined && { until }) };
}

/** Returns the result for the state of the wait. @throws {Snooze} while it waits; the failure if it has failed. */
async function outcomeOf(
  dependencies: Dependencies,
  current: RunningWait,
  envelope: Envelope,
  previous: unknown,
  state: WaitState,
): Promise<unknown> {
  const { job, wait, record, begun } = current;
  switch (state.kind) {
    case 'waiting': {
      const { until } = state;
      const restMs = (until ?? Number.POSITIVE_INFINITY) - dependencies.runtime.clock.now();
      throw new Snooze(Math.max(0, Math.min(restMs, LONGEST_DELAY_MS)));
    }
    case 'signalled': {
      const payload = await payloadOf(dependencies, current, state);
      // The record is closed once the result is stored; a crash before that leaves it to the next repair.
      job.onceStored(() => {
        endWait(dependencies.store, record, job.id, 'taken').catch(dependencies.onError);
      });
      return withPayload(wait, previous, payload);
    }
    case 'other':
      throw signalConflictError(wait.signal, begun.key, state.job);
    case 'ended':
      return endedResult(dependencies, current, envelope, previous, state.reason);
  }
}

async function endedResult(
  { sealer }: Dependencies,
  { job, wait, begun, expiresAt }: RunningWait,
  envelope: Envelope,
  previous: unknown,
  reason: WaitEnd,
): Promise<unknown> {
  if (reason === 'revoked') throw revocation(envelope);
  if (reason !== 'timeout')
    throw new CorruptJobError(
      job.id,
      `the record of its wait for signal "${wait.signal}" is gone from the store`,
    );
  const { key, since, until } = begun;
  if (expiresAt !== undefined && until !== undefined && expiresAt <= until) throw expired(wait);
  const { onTimeout } = wait;
  if (onTimeout === undefined)
    throw signalTimeoutError(wait.signal, key, wait.timeout === 'never' ? 0 : wait.timeout);
  await job.save({ waiting: { key, since, ...(until !== undefined && { until }), timedOut: true } });
  const context = { subject: 'input', id: job.id, task: job.name } as const;
  return withPayload(wait, previous, await sealer.decode(onTimeout.value, context));
}

/** @throws {Snooze} if another worker may declare the signal. */
async function payloadOf(
  { signals, runtime, onError }: Dependencies,
  { wait, begun }: RunningWait,
  { payload, at }: Extract<WaitState, { kind: 'signalled' }>,
): Promise<unknown> {
  try {
    return await signals.payloadOf(wait.signal, begun.key, payload);
  } catch (error) {
    const sinceMs = runtime.clock.now() - Math.max(at, begun.since);
    if (!(error instanceof UnknownSignalError) || sinceMs > UNKNOWN_SIGNAL_MS) throw error;
    onError(error);
    throw new Snooze(OFFERED_EVERY_MS);
  }
}

/** @throws {ValidationError} if the previous value has no usable key. */
function keyOf({ signal, key }: SignalWait, previous: unknown, run: string): string {
  if (key === undefined) return run;
  if ('text' in key) return key.text;
  const value = valueUnder(previous, key.from);
  const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value;
  if (isSignalKey(text)) return text;
  const message = `expected text of 1 to ${MAX_SIGNAL_KEY} characters or a number as the key of the wait, got ${kindOf(value)}`;
  throw new ValidationError(signal, 'input', [{ path: `input.${key.from}`, message }]);
}

function checkObject({ signal, into }: SignalWait, previous: unknown): void {
  if (isPlainObject(previous)) return;
  const message = `\`into: '${into}'\` adds a key to the previous value, but that is ${kindOf(previous)}, not an object`;
  throw new ValidationError(signal, 'input', [{ path: 'input', message }]);
}

function withPayload({ into }: SignalWait, previous: unknown, payload: unknown): unknown {
  return into === undefined ? payload : { ...(isPlainObject(previous) ? previous : {}), [into]: payload };
}

/** Returns the wait that begins now. It ends at its timeout or when its job expires, whatever comes first. */
function plannedWait(
  { timeout }: SignalWait,
  key: string,
  now: number,
  expires: number | undefined,
): BegunWait {
  const end = timeout === 'never' ? Number.POSITIVE_INFINITY : now + timeout;
  const until = Math.min(end, expires ?? Number.POSITIVE_INFINITY);
  return { key, since: now, ...(Number.isFinite(until) && { until }) };
}

function isDue({ until }: BegunWait, now: number): boolean {
  return until !== undefined && now >= until;
}

function revocation({ skipped }: Envelope): Error {
  return skipped
    ? new SkippedError('The group has an outcome without this step.')
    : new RevokedError('The run was revoked before the signal came.');
}

function expired({ signal }: SignalWait): ExpiredError {
  return new ExpiredError(`The run expired while it waited for signal "${signal}".`);
}
