/** `app.describe()`, and the warning about several copies of this package in one process. */

import { ownLocation } from '../base/modules.js';
import type { Engine, EngineKind } from '../store/engine/engine.js';
import type { Registry } from '../task/definition.js';
import type { Router } from '../task/routing.js';

/** Facts about a task that this process knows. */
export interface TaskDescription {
  readonly name: string;
  /** Queue of calls that name no queue; with a routing function, of calls without input. */
  readonly queue: string;
  /** Whether this process has a handler for the task. */
  readonly hasHandler: boolean;
  /** URL of the module that child processes load, for an isolated task. */
  readonly isolate?: string;
}

/** Facts about an app that this process knows. */
export interface AppDescription {
  readonly name: string;
  /** Prefix of every key in the store. */
  readonly prefix: string;
  readonly store: {
    readonly kind: EngineKind;
    /** Address without user and password; a description for a store without one. */
    readonly address: string;
    /** Whether the store is in the memory of this process, with which its jobs end. */
    readonly isInMemory: boolean;
  };
  /** Whether the app has the option `searchIndex`. */
  readonly searchIndex: boolean;
  /** Queues of the app that this process knows. */
  readonly queues: readonly string[];
  /** The tasks that this process knows, by name. */
  readonly tasks: readonly TaskDescription[];
}

export function describeApp(
  name: string,
  {
    connection,
    prefix,
    searchIndex,
  }: { readonly connection: Engine; readonly prefix: string; readonly searchIndex: boolean },
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
    store: {
      kind: connection.kind,
      address: connection.address,
      isInMemory: connection.isInMemory === true,
    },
    searchIndex,
    queues: router.all(registry.queues()),
    tasks: tasks.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

const COPIES = Symbol.for('umbel.copies');

const holder = globalThis as { [COPIES]?: Set<string> };

/** Records that this copy creates an app. Returns a warning if other copies do so too. */
export function recordCopy(location: string = ownLocation()): string | undefined {
  holder[COPIES] ??= new Set();
  const copies = holder[COPIES];
  copies.add(location);
  if (copies.size === 1) return undefined;
  return (
    `${copies.size} copies of @umbel/core create apps in this process: ${[...copies].join(', ')}. Workflows and tests work ` +
    'only with apps of one copy. `npm ls @umbel/core` shows which packages install them'
  );
}
