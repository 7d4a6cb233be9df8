/**
 * What workers and those who direct them tell each other, by the event streams and the meta data of queues that hold no
 * job: orders and questions on one stream, which every worker reads, answers on another, which those read who wait for
 * some, and a record of each worker. What is read is as anybody may have written it.
 */
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { type EventFields, EventReader } from './events.js';
import type { BackendOptions } from './queue-pool.js';
import type { MarkedPlace } from './revoke.js';
import type { Store } from './store.js';

/** Its events also tell which workers come and go. */
export const CONTROL_QUEUE = 'umbel.control';
export const REPLY_QUEUE = 'umbel.replies';
export const WORKER_QUEUE = 'umbel.workers';
const KEPT_ORDERS = 1000;
/** Answers are kept until those who wait have read them: so many, and of long ones fewer. */
const KEPT_REPLIES = { most: 1000, least: 32, bytes: 32 * 1_048_576 };

/** To give up the attempt at a job. */
export interface Termination {
  readonly queue: string;
  readonly id: string;
  /** It is not needed any more, rather than unwanted. */
  readonly skipped?: true;
}

/** Orders that are written at the same time: the stream keeps some, and whoever reads it has to keep up. */
const TOGETHER = 50;

/** Tells every worker to give up those attempts at marked jobs that were running. */
export async function terminateMarked(
  store: Store,
  marked: readonly MarkedPlace[],
  { skipped }: Pick<Termination, 'skipped'> = {},
): Promise<void> {
  // What Umbel adds between tasks ends by the marks.
  const running = marked.filter(({ queue, isActive }) => isActive && queue !== INTERNAL_QUEUE);
  for (let start = 0; start < running.length; start += TOGETHER) {
    const orders = running
      .slice(start, start + TOGETHER)
      .map(({ queue, id }) => ({ event: 'terminate', queue, id, ...(skipped && { skipped: 'true' }) }));
    await Promise.all(orders.map((order) => publish(store, CONTROL_QUEUE, order, KEPT_ORDERS)));
  }
}

/** A question or an order, as it is written. */
export interface StoredOrder {
  readonly id: string;
  readonly kind: string;
  /** JSON: the ids of the workers it is for; absent: all. */
  readonly to?: string;
  /** JSON. */
  readonly args: string;
  /** Until when it is to be obeyed, in milliseconds since 1970. */
  readonly until: number;
}

export async function publishOrder(store: Store, order: StoredOrder, timeoutMs?: number): Promise<void> {
  await publish(store, CONTROL_QUEUE, { event: 'order', ...order }, KEPT_ORDERS, timeoutMs);
}

/** Tells that a worker has come or gone. Gives the position in the stream of orders. */
export function publishPresence(
  store: Store,
  event: 'worker-online' | 'worker-offline',
  worker: string,
  timeoutMs?: number,
): Promise<string> {
  return publish(store, CONTROL_QUEUE, { event, worker }, KEPT_ORDERS, timeoutMs);
}

/** Orders from now on, or from a position on, until it is closed. */
export function orderReader(
  options: BackendOptions,
  from: string | undefined,
  listeners: {
    readonly terminate: (order: Termination) => void;
    readonly order: (fields: EventFields) => void;
  },
): EventReader {
  return new EventReader(CONTROL_QUEUE, options, from ?? '$', (fields) => {
    const event = fields.get('event');
    if (event === 'terminate')
      listeners.terminate({
        queue: fields.get('queue') ?? '',
        id: fields.get('id') ?? '',
        ...(fields.get('skipped') === 'true' && { skipped: true }),
      });
    else if (event === 'order') listeners.order(fields);
  });
}

/** An answer, as it is written. */
export interface StoredReply {
  /** The id of what is answered. */
  readonly to: string;
  /** The id of the worker. */
  readonly from: string;
  /** JSON. */
  readonly answer: string;
}

export async function publishReply(store: Store, reply: StoredReply, timeoutMs: number): Promise<void> {
  const { most, least, bytes } = KEPT_REPLIES;
  const kept = Math.max(least, Math.min(most, Math.floor(bytes / Math.max(1, reply.answer.length))));
  await publish(store, REPLY_QUEUE, { event: 'reply', ...reply }, kept, timeoutMs);
}

/** The present position in the stream of answers: those to what is asked from now on come after it. */
export function replyPosition(store: Store, timeoutMs?: number): Promise<string> {
  return publish(store, REPLY_QUEUE, { event: 'asked' }, KEPT_REPLIES.most, timeoutMs);
}

/** Answers from a position on, until it is closed. */
export function replyReader(
  options: BackendOptions,
  from: string,
  take: (reply: StoredReply) => void,
): EventReader {
  return new EventReader(REPLY_QUEUE, options, from, (fields) => {
    const [to, sender, answer] = [fields.get('to'), fields.get('from'), fields.get('answer')];
    if (fields.get('event') !== 'reply') return;
    if (to !== undefined && sender !== undefined && answer !== undefined) take({ to, from: sender, answer });
  });
}

export async function writeRecord(
  store: Store,
  id: string,
  record: string,
  timeoutMs: number,
): Promise<void> {
  await store.on(
    WORKER_QUEUE,
    (bull) => bull.getBackend().setQueueMeta({ [recordField(id)]: record }),
    timeoutMs,
  );
}

export async function removeRecords(store: Store, ids: readonly string[], timeoutMs?: number): Promise<void> {
  if (ids.length === 0) return;
  const fields = ids.map(recordField);
  await store.on(WORKER_QUEUE, (bull) => bull.getBackend().removeQueueMetaFields(fields), timeoutMs);
}

/** The records of workers, by their ids. */
export async function readRecords(store: Store, timeoutMs?: number): Promise<ReadonlyMap<string, string>> {
  const meta = await store.on(WORKER_QUEUE, (bull) => bull.getBackend().getQueueMeta(), timeoutMs);
  const records = new Map<string, string>();
  for (const [field, text] of Object.entries(meta))
    if (field.startsWith(RECORD)) records.set(field.slice(RECORD.length), text);
  return records;
}

/** BullMQ keeps fields of its own beside. */
const RECORD = 'worker:';

function recordField(id: string): string {
  return `${RECORD}${id}`;
}

function publish(
  store: Store,
  queue: string,
  fields: Record<string, string | number>,
  kept: number,
  timeoutMs?: number,
): Promise<string> {
  return store.on(queue, (bull) => bull.getBackend().publishEvent(fields, kept), timeoutMs);
}
