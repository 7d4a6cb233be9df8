/** A store whose events arrive when a test lets them. */
import { type BackendFactory, createRedisBackend, type IQueueBackend } from 'bullmq';

export interface HeldEvents {
  readonly connection: BackendFactory<IQueueBackend>;
  /** From now on, no event arrives. */
  hold(): void;
  /** Events arrive again, those that were held first. */
  release(): void;
  /** Calls of the backends' commands, by name. */
  readonly calls: Map<string, number>;
}

const COUNTED = ['isFinished', 'getJobData', 'getState', 'readEvents'] as const;

/** @param url Of a Redis; without it, `factory` has to be given. */
export function heldEvents(
  url: string | undefined,
  factory: BackendFactory<IQueueBackend> = createRedisBackend,
): HeldEvents {
  let held = Promise.resolve();
  let release = () => {};
  const calls = new Map<string, number>();
  const count = (backend: IQueueBackend): IQueueBackend => {
    for (const name of COUNTED) {
      const command = backend[name].bind(backend) as (...args: unknown[]) => Promise<unknown>;
      Object.assign(backend, {
        [name]: (...args: unknown[]) => {
          calls.set(name, (calls.get(name) ?? 0) + 1);
          return command(...args);
        },
      });
    }
    const forQueue = backend.forQueue.bind(backend);
    backend.forQueue = (...args) => count(forQueue(...args));
    return backend;
  };
  return {
    calls,
    connection: (name, options, more) => {
      const connection = url === undefined ? options.connection : { ...options.connection, url };
      const backend = count(factory(name, { ...options, connection }, more));
      const readEvents = backend.readEvents.bind(backend);
      backend.readEvents = async (...args) => {
        await held;
        const events = await readEvents(...args);
        await held;
        return events;
      };
      return backend;
    },
    hold() {
      held = new Promise((resolve) => {
        release = resolve;
      });
    },
    release: () => release(),
  };
}
