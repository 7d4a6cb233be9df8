/** How the child process of an isolated task finds the handlers that the module it imports defines. */
import type { TaskEntry } from '../../tasks/registry.js';

export type HandledTask = TaskEntry & Required<Pick<TaskEntry, 'run'>>;

/** Process-wide, since the imported module may load another copy of this package. Present in such a child only. */
const COLLECTED = Symbol.for('umbel.isolated-handlers');

const holder = globalThis as { [COLLECTED]?: CollectedHandlers };

/** The handlers of this process, of every app. */
export class CollectedHandlers {
  readonly #tasks: { app: string; task: HandledTask }[] = [];

  add(app: string, task: HandledTask): void {
    this.#tasks.push({ app, task });
  }

  /**
   * The task of that name on the app of that name; else, since the name of an app may be made at run time, on the only
   * app that has one.
   */
  find(app: string, name: string): HandledTask | undefined {
    const named = this.#tasks.filter(({ task }) => task.name === name);
    const own = named.find((candidate) => candidate.app === app);
    return (own ?? (named.length === 1 ? named[0] : undefined))?.task;
  }

  /** The names of the tasks, each with that of its app. */
  names(): string[] {
    return this.#tasks.map(({ app, task }) => `"${task.name}" of app "${app}"`);
  }
}

/** Makes this process one that collects handlers. */
export function collectHandlers(): CollectedHandlers {
  const handlers = new CollectedHandlers();
  holder[COLLECTED] = handlers;
  return handlers;
}

/** Keeps the handler if this process collects them. */
export function offerHandler(app: string, task: HandledTask): void {
  holder[COLLECTED]?.add(app, task);
}

/** Whether this process is the child of a worker. */
export function isIsolatedChild(): boolean {
  return holder[COLLECTED] !== undefined;
}
