/** A query of events, checked. */

import { CONTROL_QUEUE } from '../bullmq/control.js';
import { InvalidOptionError } from '../errors.js';
import { INTERNAL_QUEUE } from '../flow/node.js';
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import { JOB_TYPES, RUN_TYPES, WORKER_TYPES } from './entry.js';
import type { EventQuery, EventType } from './event.js';
import { decodePosition, FIRST, idBefore, type Position } from './position.js';
import type { Wanted } from './wanted.js';

const TYPES: readonly EventType[] = [...JOB_TYPES, ...RUN_TYPES, ...WORKER_TYPES, 'gap'];

const QUERY: OptionNames<EventQuery> = {
  from: true,
  types: true,
  tasks: true,
  queues: true,
  id: true,
  signal: true,
};

/** Which events are told, and of which streams. */
export interface Selection {
  readonly wanted: Wanted;
  /** The queues of tasks that are read. */
  readonly queues: ReadonlySet<string> | undefined;
  readonly from: 'now' | Position;
  readonly signal: AbortSignal | undefined;
}

/** @throws {InvalidOptionError} if the query has a value it cannot have. */
export function selectionOf(query: EventQuery): Selection {
  const { types, tasks, queues, id, signal, from = 'now' } = checkOptions(query, QUERY, { option: 'query' });
  const isOfJobs = tasks !== undefined || queues !== undefined;
  const told = new Set<EventType>(types === undefined ? TYPES : namesOf('types', types));
  for (const type of told) {
    if (!TYPES.includes(type)) throw new InvalidOptionError('types', `some of ${TYPES.join(', ')}`, type);
  }
  if (isOfJobs) for (const type of [...RUN_TYPES, ...WORKER_TYPES]) told.delete(type);
  if (id !== undefined) for (const type of WORKER_TYPES) told.delete(type);
  if (![...told].some((type) => type !== 'gap'))
    throw new InvalidOptionError('types', 'some that the other options leave', types);
  if (id !== undefined && (typeof id !== 'string' || id === ''))
    throw new InvalidOptionError('id', 'the id of a job or a run', id);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new InvalidOptionError('signal', 'an AbortSignal', signal);
  return {
    wanted: { types: told, tasks: tasks && new Set(namesOf('tasks', tasks)), id },
    queues: queues && new Set(namesOf('queues', queues)),
    from: placeOf(from),
    signal,
  };
}

/** The queues whose streams tell what is wanted. `known`: those of the app's tasks. */
export function streamsOf(selection: Selection, known: readonly string[]): string[] {
  return [...known, INTERNAL_QUEUE, CONTROL_QUEUE].filter((queue) => readsStream(selection, queue));
}

/** Whether the stream of a queue tells what is wanted. */
export function readsStream({ wanted: { types }, queues }: Selection, queue: string): boolean {
  const has = (some: readonly EventType[]) => some.some((type) => types.has(type));
  if (queue === INTERNAL_QUEUE) return has(RUN_TYPES);
  if (queue === CONTROL_QUEUE) return has(WORKER_TYPES);
  return has(JOB_TYPES) && (queues === undefined || queues.has(queue));
}

function namesOf<Name extends string>(option: string, names: readonly Name[]): readonly Name[] {
  const isList =
    Array.isArray(names) && (names as readonly unknown[]).every((name) => typeof name === 'string');
  if (isList) return names;
  throw new InvalidOptionError(option, 'a list of names', names);
}

function placeOf(from: 'now' | 'start' | Date | string): 'now' | Position {
  if (from === 'now') return from;
  if (from === 'start') return { after: new Map(), start: FIRST };
  if (from instanceof Date && !Number.isNaN(from.getTime()))
    return { after: new Map(), start: idBefore(from.getTime()) };
  return decodePosition(typeof from === 'string' ? from : '');
}
