/** W6: BullMQ does not look whether the parts of an answer are errors, and fails where it reads them. */
import type { IQueueBackend } from 'bullmq';

/** Tells a refused read from a mistake, so that it is tried again. */
export function readsWhole(backend: IQueueBackend): void {
  const getDependencies = backend.getDependencies.bind(backend);
  backend.getDependencies = async (...args) => {
    try {
      return await getDependencies(...args);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new Error('TRYAGAIN the store has refused a part of what was read', { cause });
    }
  };
}
