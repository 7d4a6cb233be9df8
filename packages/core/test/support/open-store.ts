import { createAbortController } from '../../src/base/wait.js';
import { systemRuntime } from '../../src/client/runtime.js';
import { Sealer } from '../../src/codec/codecs.js';
import type { Connection } from '../../src/index.js';
import { resolveConnection } from '../../src/store/connection.js';
import { Store } from '../../src/store/store.js';
import { StoreTime } from '../../src/store/store-time.js';

/** The store of an app, as the parts of core see it. */
export function openStore(app: string, connection: Connection): Store {
  return new Store({
    connection: resolveConnection(connection),
    prefix: `umbel:{${app}}`,
    onError: () => {},
    pause: systemRuntime.pause,
    time: new StoreTime(() => {}),
    outages: new WeakSet(),
    sealer: new Sealer([]),
    timeoutMs: 5000,
    closing: createAbortController(),
    keptMs: { completed: 86_400_000, failed: 7 * 86_400_000 },
  });
}
