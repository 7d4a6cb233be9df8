/** A reader of what a Redis or a cluster holds. */
import type { StoreReader } from '../campaign-store.js';
import { type ConnectionSettings, clientOf } from '../connection.js';
import { countOpenJobs, readStoredState } from './stored-state.js';

export function redisReader(connection: ConnectionSettings): StoreReader {
  const client = clientOf(connection);
  client.on('error', () => {}); // the store is killed on purpose
  return {
    state: (app) => readStoredState(client, app),
    countOpenJobs: (app, queues) => countOpenJobs(client, app, queues),
    async close() {
      client.disconnect();
    },
  };
}
