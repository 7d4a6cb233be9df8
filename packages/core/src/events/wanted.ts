/** This module decides which events a reader wants, and what all readers of the same streams want together. */
import { type Change, typesOf } from './entry.js';
import type { EventType } from './event.js';
import type { Untold, Wants } from './teller.js';

/** What a reader wants. */
export interface Wanted {
  readonly types: ReadonlySet<EventType>;
  readonly tasks: ReadonlySet<string> | undefined;
  /** A job, or a run and its steps. */
  readonly id: string | undefined;
}

/** Whether a reader is to be told of an event. */
export function isWanted({ types, tasks, id }: Wanted, event: Untold): boolean {
  if (!types.has(event.type)) return false;
  if ('runId' in event && !('id' in event)) return id === undefined || isOf(id, event.runId);
  if (!('id' in event)) return true;
  if (id !== undefined && !isOf(id, event.id)) return false;
  return tasks === undefined || (event.task !== undefined && tasks.has(event.task));
}

/** What several readers want. Those who want the same, or a part of it, are counted as one. */
export class SharedWants implements Wants {
  /** Since which place in a common list each has been heeded; those of equal wants stand together. */
  readonly #since = new Map<Wanted, number>();

  /** Heeds a reader from a place on. */
  add(wanted: Wanted, place: number): void {
    this.#since.set(wanted, Math.min(place, this.since(wanted)));
  }

  delete(wanted: Wanted): void {
    this.#since.delete(wanted);
  }

  /** From which place on all that a reader wants was looked up; infinite if nobody has wanted it. */
  since(wanted: Wanted): number {
    let since = Number.POSITIVE_INFINITY;
    for (const [other, from] of this.#since) if (from < since && includes(other, wanted)) since = from;
    return since;
  }

  mayWant(queue: string, change: Change, id: string): boolean {
    const types = typesOf(queue, change);
    for (const wanted of this.#since.keys()) if (mayWant(wanted, types, id)) return true;
    return false;
  }

  wantsTask(queue: string, change: Change, id: string, task: string): boolean {
    const types = typesOf(queue, change);
    for (const wanted of this.#since.keys())
      if (wanted.tasks?.has(task) !== false && mayWant(wanted, types, id)) return true;
    return false;
  }
}

function mayWant(wanted: Wanted, types: readonly EventType[], id: string): boolean {
  if (wanted.id !== undefined && !isOf(wanted.id, id)) return false;
  return types.some((type) => wanted.types.has(type));
}

/** Whether an id is the one, or that of a step of the run of that id. */
function isOf(only: string, id: string): boolean {
  return id === only || id.startsWith(`${only}.`);
}

/** Whether all that one reader wants is wanted by another one. */
function includes(all: Wanted, part: Wanted): boolean {
  if (all === part) return true;
  if (all.id !== undefined && all.id !== part.id) return false;
  if (!isSubset(part.types, all.types)) return false;
  return all.tasks === undefined || (part.tasks !== undefined && isSubset(part.tasks, all.tasks));
}

function isSubset<T>(part: ReadonlySet<T>, all: ReadonlySet<T>): boolean {
  for (const value of part) if (!all.has(value)) return false;
  return true;
}
