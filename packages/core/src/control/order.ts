/** What a worker can be asked and told. */

import type { StoredOrder } from '../bullmq/control.js';
import type { EventFields } from '../bullmq/event-reader.js';
import { type Fields, fieldsOf, isWorkerId, parsed } from './reading.js';

const QUESTIONS = ['ping', 'active', 'stats', 'registered', 'conf'] as const;
const ORDERS = ['set-concurrency', 'add-queue', 'cancel-queue', 'shutdown'] as const;

export type OrderKind = (typeof QUESTIONS)[number] | (typeof ORDERS)[number];

export interface Order {
  readonly id: string;
  readonly kind: OrderKind;
  /** The ids of the workers it is for; undefined: all. */
  readonly to: ReadonlySet<string> | undefined;
  readonly args: Fields;
  /** After this moment, by the clock of the store, nobody waits for the answer any more. */
  readonly until: number;
}

/** The longest wait for answers. */
export const MAX_WAIT_MS = 600_000;
const MAX_ARGS_BYTES = 65_536;
const MAX_TO_BYTES = 1_048_576;

export function storedOrder(order: Order): StoredOrder {
  const { id, kind, to, args, until } = order;
  return {
    id,
    kind,
    ...(to !== undefined && { to: JSON.stringify([...to]) }),
    args: JSON.stringify(args),
    until: Math.round(until),
  };
}

/** An order as it was written; or why it cannot be obeyed. */
export function readOrder(fields: EventFields): Order | string {
  const id = fields.get('id') ?? '';
  if (!isWorkerId(id)) return 'it has no id';
  const kind = [...QUESTIONS, ...ORDERS].find((known) => known === fields.get('kind'));
  if (kind === undefined) return 'there is no such order in this version';
  const until = Number(fields.get('until'));
  if (!Number.isFinite(until)) return 'it has no end';
  const args = parsed(fields.get('args'), MAX_ARGS_BYTES);
  if (fieldsOf(args) !== args) return 'its arguments cannot be read';
  const recipients = parsed(fields.get('to'), MAX_TO_BYTES);
  if (fields.has('to') && !Array.isArray(recipients)) return 'whom it is for cannot be read';
  return {
    id,
    kind,
    to: Array.isArray(recipients) ? new Set(recipients.map(String)) : undefined,
    args: fieldsOf(args),
    until,
  };
}
