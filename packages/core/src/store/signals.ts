/**
 * This module stores signals and the waits for them, on every store: it runs the commands of `primitives/signals.ts`, and
 * starts the job of a wait once its signal is there.
 */
import { StoreConfigurationError } from '../base/errors.js';
import type { Envelope } from '../job/envelope.js';
import { INTERNAL_JOB, INTERNAL_QUEUE } from '../job/job-tree.js';
import { signalRecordId } from '../job/signal-wait.js';
import type { StoreAccess } from './access.js';
import {
  type NewSignal,
  type OpenWaitPage,
  type OpenWaitRecord,
  SIGNAL_QUEUE,
  type SignalDecision,
  type SignalPrimitives,
  type StartedWait,
  signalPrimitivesOf,
  type WaitEnd,
  type WaitState,
} from './primitives/signals.js';
import type { JobAccess } from './tree.js';
import { startDelayed } from './wake.js';

/** Number of open waits that one check reads. */
const CHECKED_WAITS = 500;

/** Maximum number of attempts of a sender to start a job that its worker is just delaying. The next repair starts it else. */
const MAX_STARTS = 50;

type Pause = (ms: number) => Promise<void>;

function signals<T>(access: JobAccess, command: (signals: SignalPrimitives) => Promise<T>): Promise<T> {
  return access.on(SIGNAL_QUEUE, (bull) => {
    const primitives = signalPrimitivesOf(bull.getBackend());
    if (primitives !== undefined) return command(primitives);
    throw new StoreConfigurationError(
      'This store cannot keep signals: its backend has no commands for them. Use a connection URL, or the memory of @umbel/testing.',
    );
  });
}

export function startWait(access: StoreAccess, wait: StartedWait): Promise<WaitState> {
  return signals(access, (primitives) => primitives.startWait(wait));
}

/** Ends the wait of a job, unless it has an outcome already. */
export function endWait(access: StoreAccess, id: string, job: string, reason: WaitEnd): Promise<WaitState> {
  return signals(access, (primitives) => primitives.endWait(id, job, reason, access.endedWaitMs));
}

/** Decides about a signal, and starts the job that waits for it. */
export async function sendSignal(
  access: StoreAccess,
  signal: Omit<NewSignal, 'endedMs'>,
  pause: Pause,
): Promise<SignalDecision> {
  const decision = await signals(access, (primitives) =>
    primitives.sendSignal({ ...signal, endedMs: access.endedWaitMs }),
  );
  if (decision.job !== undefined)
    await startDelayed(access, { queue: INTERNAL_QUEUE, id: decision.job }, pause, MAX_STARTS);
  return decision;
}

/**
 * Ends the wait of a job that was revoked. The record decides: if its signal was accepted before, the wait has that
 * outcome.
 */
export async function endRevokedWait(access: JobAccess, job: string, data: Envelope): Promise<void> {
  const { wait, waiting } = data;
  if (wait === undefined || waiting === undefined) return; // it has not begun, and the marked job does not begin it
  const id = signalRecordId(wait.signal, waiting.key);
  await signals(access, (primitives) => primitives.endWait(id, job, 'revoked', access.endedWaitMs));
}

/** Lets the failed job of a wait wait again: a signal that is sent before its next start is kept. */
export async function reopenWait(access: JobAccess, id: string, data: Envelope): Promise<void> {
  const { wait, waiting } = data;
  if (wait === undefined || waiting === undefined) return;
  const record = signalRecordId(wait.signal, waiting.key);
  await signals(access, (primitives) => primitives.reopenWait(record, id));
}

export function isWaitJob(queue: string, name: string | undefined): boolean {
  return queue === INTERNAL_QUEUE && name === INTERNAL_JOB.wait;
}

/** Returns a page of open waits, of one signal if it is set, ordered by signal and start. */
export function listWaits(
  access: StoreAccess,
  signal: string | undefined,
  after: string | undefined,
  limit: number,
): Promise<OpenWaitPage> {
  return signals(access, (primitives) => primitives.listWaits(signal, after, limit));
}

export function findWait(
  access: StoreAccess,
  signal: string,
  key: string,
): Promise<OpenWaitRecord | undefined> {
  return signals(access, (primitives) => primitives.findWait(signalRecordId(signal, key)));
}

/** Ends the records of waits whose jobs have ended, and starts the jobs whose signals are there. Returns their number. */
export async function checkWaits(access: StoreAccess, pause: Pause): Promise<number> {
  let started = 0;
  let after: string | undefined;
  do {
    const from = after;
    const page = await access.on(SIGNAL_QUEUE, async (bull) =>
      signalPrimitivesOf(bull.getBackend())?.checkWaits(from, CHECKED_WAITS, access.endedWaitMs),
    );
    if (page === undefined) return started; // a store without signals
    for (const job of page.unstarted) {
      const place = { queue: INTERNAL_QUEUE, id: job };
      const isDelayed = (await access.on(place.queue, (bull) => bull.getJobState(job))) === 'delayed';
      if (!isDelayed) continue;
      await startDelayed(access, place, pause, MAX_STARTS);
      started += 1;
    }
    after = page.next;
  } while (after !== undefined && !access.backends.closed.aborted);
  return started;
}

// JSON Schemas of payloads, for programs that list waits but do not declare the signals.

const SCHEMA_FIELD = 'signal:';

/** Stores the JSON Schema of a signal's payload, as text. */
export async function storeSignalSchema(access: StoreAccess, signal: string, schema: string): Promise<void> {
  await access.on(SIGNAL_QUEUE, (bull) =>
    bull.getBackend().setQueueMeta({ [`${SCHEMA_FIELD}${signal}`]: schema }),
  );
}

export async function signalSchemaOf(access: StoreAccess, signal: string): Promise<string | undefined> {
  const field = `${SCHEMA_FIELD}${signal}`;
  return (await access.on(SIGNAL_QUEUE, (bull) => bull.getBackend().getQueueMetaField(field))) ?? undefined;
}
