/** What the one task of random compositions does: decided by its input alone, so that it can be told in advance. */
import { createHash } from 'node:crypto';

export const DEEDS = [
  'mix',
  'spread',
  'rows',
  'route',
  'ask',
  'nothing',
  'retry',
  'fail',
  'picky',
  'stop',
  'become',
  'grow',
  'spend',
  'ticket',
  'silent',
] as const;

/**
 * `spread` gives a list, `rows` a list of pairs, `route` an object with a `kind`, `ask` true or false; `retry` fails at
 * first, `picky` for some inputs; `become` puts a composition in its place, `grow` adds one to its group. `spend` gives an
 * object with a cost. `ticket` and `silent` give one with a key for a wait that follows; only those of `ticket` get signals.
 */
export type Deed = (typeof DEEDS)[number];

export interface NodeInput {
  /** Which one it is among all nodes. */
  readonly n: number;
  readonly does: Deed;
  readonly value?: unknown;
  readonly extra?: unknown;
}

export type Effect =
  | { readonly kind: 'gives'; readonly value: unknown }
  | { readonly kind: 'stops'; readonly value: unknown }
  | { readonly kind: 'fails' }
  /** A composition that belongs to the node takes its place. */
  | { readonly kind: 'becomes' }
  /** Such a one is added to the group; the node gives a value too. */
  | { readonly kind: 'adds'; readonly value: unknown };

export function effectOf({ n, does }: NodeInput, value: unknown): Effect {
  const text = createHash('sha1')
    .update(JSON.stringify([n, value]))
    .digest('hex')
    .slice(0, 6);
  const number = Number.parseInt(text, 16);
  const list = (length: number) => Array.from({ length }, (_, index) => `${text}-${index}`);
  switch (does) {
    case 'mix':
    case 'retry':
      return { kind: 'gives', value: text };
    case 'spread':
      return { kind: 'gives', value: list(number % 4) };
    case 'rows':
      return { kind: 'gives', value: list(number % 3).map((item) => [item, text]) };
    case 'route':
    case 'ticket': // the handler adds the key of the wait, which is not the same in every run
    case 'silent':
      return { kind: 'gives', value: { kind: 'abc'[number % 3], value: text } };
    case 'spend':
      return { kind: 'gives', value: { kind: 'abc'[number % 3], value: text, cost: number % 4 } };
    case 'ask':
      return { kind: 'gives', value: number % 2 === 0 };
    case 'nothing':
      return { kind: 'gives', value: null };
    case 'fail':
      return { kind: 'fails' };
    case 'picky':
      return number % 5 === 0 ? { kind: 'fails' } : { kind: 'gives', value: text };
    case 'stop':
      return { kind: 'stops', value: text };
    case 'become':
      return { kind: 'becomes' };
    case 'grow':
      return { kind: 'adds', value: text };
  }
}

/** The value that a node works on; failures in it all look the same, since they tell ids and times. */
export function workedOn({ value, extra }: NodeInput): unknown {
  return cleaned(extra === undefined ? value : [value, extra]) ?? null;
}

/** What stands for a `FailureRecord`. */
export const FAILURE = { failure: true };

/** Keys of values that are not the same in every run: the key of a wait, and who sent the signal that decided it. */
const VARYING: ReadonlySet<string> = new Set(['signalKey', 'signalBy']);

/** The value without what differs from run to run. */
export function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value !== 'object' || value === null) return value;
  if ('jobId' in value && 'error' in value) return FAILURE;
  const same = Object.entries(value).filter(([key]) => !VARYING.has(key));
  return Object.fromEntries(same.map(([key, item]) => [key, cleaned(item)]));
}

/** The payload of the signals of random compositions. */
export interface Payload {
  readonly signalBy: string;
  readonly signalKey: string;
}

/** What `cleaned` leaves of a payload. */
export const SIGNALLED = {};

/** The result of a node that goes on with a wait: its key is the id of the job, which a repeated attempt shares. */
export function withSignalKey(does: Deed, value: unknown, id: string): unknown {
  const isTicket = does === 'ticket' || does === 'silent';
  return isTicket && typeof value === 'object' ? { ...value, signalKey: id } : value;
}
