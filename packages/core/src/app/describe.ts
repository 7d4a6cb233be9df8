/** What an app is made of, for programs that are given one. */

import { ownLocation } from '../base/modules.js';
import { isRedis, type ResolvedConnection, shownConnection } from '../store/connection.js';
import type { Registry } from '../task/definition.js';
import type { Router } from '../task/routing.js';

export interface TaskDescription {
  readonly name: string;
  /** Where its calls go that name no queue; of a routing function, those without input. */
  readonly queue: string;
  /** Whether this process can run it. */
  readonly hasHandler: boolean;
  /** The module that child processes load to run it, as a URL, if it is isolated. */
  readonly isolate?: string;
}

export interface AppDescription {
  readonly name: string;
  /** What every key in the store begins with. */
  readonly prefix: string;
  readonly store: {
    readonly kind: 'redis' | 'other';
    /** Its address, without user and password; of another store, no address. */
    readonly address: string;
  };
  /** The app's queues, as far as this process knows them. */
  readonly queues: readonly string[];
  /** The tasks that this process knows, by name. */
  readonly tasks: readonly TaskDescription[];
}

export function describeApp(
  name: string,
  { connection, prefix }: { readonly connection: ResolvedConnection; readonly prefix: string },
  registry: Registry,
  router: Router,
): AppDescription {
  const tasks = registry.tasks().map(({ name: task, options, run, isolate }) => ({
    name: task,
    queue: router.usualQueue(task, options.queue),
    hasHandler: run !== undefined,
    ...(isolate !== undefined && { isolate }),
  }));
  return {
    name,
    prefix,
    store: { kind: isRedis(connection) ? 'redis' : 'other', address: shownConnection(connection) },
    queues: router.all(registry.queues()),
    tasks: tasks.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

// Which copies of this package make apps in this process.

const COPIES = Symbol.for('umbel.copies');

const holder = globalThis as { [COPIES]?: Set<string> };

/** Notes that this copy makes an app. What to say of it if it is not the only one that does. */
export function noteCopy(place: string = ownLocation()): string | undefined {
  holder[COPIES] ??= new Set();
  const copies = holder[COPIES];
  copies.add(place);
  if (copies.size === 1) return undefined;
  return (
    `${copies.size} copies of @umbel/core make apps in this process: ${[...copies].join(', ')}. Compositions and tests know ` +
    'those of one only; `npm ls @umbel/core` shows who brings which'
  );
}
