import { isName } from './options.js';
import type { TaskObject } from './task.js';

/** What the language, or a tool that looks at an object, asks of every object: these are not the names of tasks. */
const NOT_TASKS: ReadonlySet<string> = new Set(['then', 'toJSON']);

/** An object that has a task under every name that a task can have. */
export function clientOf(taskOf: (name: string) => TaskObject): object {
  const tasks = new Map<string, TaskObject>();
  return new Proxy(Object.freeze(Object.create(null)), {
    get(_target, name) {
      if (typeof name !== 'string' || NOT_TASKS.has(name) || !isName(name)) return undefined;
      const task = tasks.get(name) ?? taskOf(name);
      tasks.set(name, task);
      return task;
    },
  });
}
