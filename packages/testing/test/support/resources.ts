import { createHook } from 'node:async_hooks';

/**
 * Watches what is made from now on and keeps the process alive: timers one by one, since those of the test runner come
 * and go meanwhile, and the rest by number.
 */
export function watchResources() {
  const timers = new Map<number, NodeJS.Timeout>();
  const hook = createHook({
    init(id, type, _trigger, resource) {
      if (type === 'Timeout') timers.set(id, resource as NodeJS.Timeout); // as Node documents it
    },
    destroy: (id) => void timers.delete(id),
  }).enable();
  const others = () =>
    process.getActiveResourcesInfo().filter((type) => type !== 'Timeout' && type !== 'Immediate').length;
  const before = others();
  return {
    /** How many of them there are now. */
    async open(): Promise<number> {
      await new Promise(setImmediate); // by then Node has told of what has ended
      return [...timers.values()].filter((timer) => timer.hasRef()).length + others() - before;
    },
    stop: () => hook.disable(),
  };
}
