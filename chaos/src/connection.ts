import type { Connection } from '@umbel/core';
import { Cluster, Redis } from 'ioredis';

/** Where the store is, as it can be told to another process. */
export type ConnectionSettings =
  | { readonly url: string }
  | { readonly cluster: readonly { readonly host: string; readonly port: number }[] };

/** What an app connects with. */
export function connectionOf(settings: ConnectionSettings): Connection {
  if ('url' in settings) return settings.url;
  return clusterOf(settings.cluster);
}

/** A client of the driver's own, to read what is stored. */
export function clientOf(settings: ConnectionSettings): Redis | Cluster {
  return 'url' in settings ? new Redis(settings.url) : clusterOf(settings.cluster);
}

function clusterOf(nodes: readonly { host: string; port: number }[]): Cluster {
  return new Cluster([...nodes], {
    clusterRetryStrategy: (times) => Math.min(100 + times * 50, 1000),
    redisOptions: { maxRetriesPerRequest: null },
  });
}
