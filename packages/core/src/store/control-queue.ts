/**
 * This module transports control messages between workers and callers, through the event streams and metadata of queues
 * without jobs. One stream has the messages to workers, another one their replies. Each worker has a record in the
 * metadata. Readers must check all values, because any program may have written them.
 */
import { INTERNAL_QUEUE } from '../job/job-tree.js';
import { CONTROL_QUEUE, REPLY_QUEUE } from './engine/commands.js';
import { type EventFields, EventReader } from './events.js';
import type { MarkedPlace } from './marking.js';
import type { BackendOptions } from './queue-pool.js';
import type { Store } from './store.js';

export const WORKER_QUEUE = 'umbel.workers';
export { CONTROL_QUEUE, REPLY_QUEUE };

const KEPT_MESSAGES = 1000;
/** Number of replies that the stream keeps for readers; fewer if they are long. */
const KEPT_REPLIES = { most: 1000, least: 32, bytes: 32 * 1_048_576 };

/** A message to abort the attempt at a job. */
export interface Termination {
  readonly queue: string;
  readonly id: string;
  /** It is not needed any more, rather than unwanted. */
  readonly skipped?: true;
}

/** Number of messages that are written concurrently: the stream is bounded, and readers have to keep up. */
const TOGETHER = 50;

/** Sends every worker the message to abort running attempts at marked jobs. */
export async function terminateMarked(
  store: Store,
  marked: readonly MarkedPlace[],
  { skipped }: Pick<Termination, 'skipped'> = {},
): Promise<void> {
  // Internal jobs end by their marks.
  const running = marked.filter(({ queue, isActive }) => isActive && queue !== INTERNAL_QUEUE);
  for (let start = 0; start < running.length; start += TOGETHER) {
    const messages = running
      .slice(start, start + TOGETHER)
      .map(({ queue, id }) => ({ event: 'terminate', queue, id, ...(skipped && { skipped: 'true' }) }));
    await Promise.all(messages.map((message) => publish(store, CONTROL_QUEUE, message, KEPT_MESSAGES)));
  }
}

/** Stored form of a control message. */
export interface StoredMessage {
  readonly id: string;
  readonly kind: string;
  /** JSON array of the ids of the addressed workers; absent for all. */
  readonly to?: string;
  /** As JSON. */
  readonly args: string;
  /** Time after which workers ignore it, in milliseconds since 1970. */
  readonly until: number;
}

export async function publishMessage(
  store: Store,
  message: StoredMessage,
  timeoutMs?: number,
): Promise<void> {
  await publish(store, CONTROL_QUEUE, { event: 'order', ...message }, KEPT_MESSAGES, timeoutMs);
}

/** Publishes that a worker has started or stopped. Returns the position in the stream of messages. */
export function publishPresence(
  store: Store,
  event: 'worker-online' | 'worker-offline',
  worker: string,
  timeoutMs?: number,
): Promise<string> {
  return publish(store, CONTROL_QUEUE, { event, worker }, KEPT_MESSAGES, timeoutMs);
}

/** Returns a reader of control messages from now on, or from a position on, until it is closed. */
export function messageReader(
  options: BackendOptions,
  from: string | undefined,
  listeners: {
    readonly terminate: (message: Termination) => void;
    readonly message: (fields: EventFields) => void;
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
    else if (event === 'order') listeners.message(fields);
  });
}

/** Stored form of a reply. */
export interface StoredReply {
  /** Id of the message. */
  readonly to: string;
  /** Id of the worker. */
  readonly from: string;
  /** As JSON. */
  readonly answer: string;
}

export async function publishReply(store: Store, reply: StoredReply, timeoutMs: number): Promise<void> {
  const { most, least, bytes } = KEPT_REPLIES;
  const kept = Math.max(least, Math.min(most, Math.floor(bytes / Math.max(1, reply.answer.length))));
  await publish(store, REPLY_QUEUE, { event: 'reply', ...reply }, kept, timeoutMs);
}

/** Returns the current position in the stream of replies: those to later messages come after it. */
export function replyPosition(store: Store, timeoutMs?: number): Promise<string> {
  return publish(store, REPLY_QUEUE, { event: 'asked' }, KEPT_REPLIES.most, timeoutMs);
}

/** Returns a reader of replies from a position on, until it is closed. */
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

/** Returns the records of workers by worker id. */
export async function readRecords(store: Store, timeoutMs?: number): Promise<ReadonlyMap<string, string>> {
  const meta = await store.on(WORKER_QUEUE, (bull) => bull.getBackend().getQueueMeta(), timeoutMs);
  const records = new Map<string, string>();
  for (const [field, text] of Object.entries(meta))
    if (field.startsWith(RECORD)) records.set(field.slice(RECORD.length), text);
  return records;
}

/** Prefix of the fields of records; BullMQ stores other fields in the same metadata. */
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
