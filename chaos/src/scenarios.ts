/** What can be done to workers, producers and the store in a campaign. */
import type { CampaignStore, StoreName } from './campaign-store.js';
import type { ConnectionSettings } from './connection.js';
import { failOver } from './faults/fail-over.js';
import type { Fault } from './faults/fault.js';
import { freezeRedis } from './faults/freeze-redis.js';
import { freezeWorker } from './faults/freeze-worker.js';
import { killProducer } from './faults/kill-producer.js';
import { killRedis } from './faults/kill-redis.js';
import { killWorker } from './faults/kill-worker.js';
import { cutConnection, refusals, slowReplies } from './faults/network.js';
import { poisonDeaths } from './faults/poison-deaths.js';
import { cutSessions, lockTable, readOnly, restartPostgres } from './faults/postgres.js';
import { demandReplicas, fillMemory } from './faults/refuse-writes.js';
import { revoke } from './faults/revoke.js';
import { rollDeployments } from './faults/roll-deployments.js';
import { sendDuplicates } from './faults/send-duplicates.js';
import { PostgresProxy } from './postgres/proxy.js';
import { type PostgresStore, startPostgresStore } from './postgres/server.js';
import { ClusterStore } from './redis/cluster.js';
import { RedisProxy } from './redis/proxy.js';
import { type SingleStore, startStore } from './redis/server.js';
import type { TimedSettings } from './timed-tasks.js';
import type { WorkloadSettings } from './workload.js';

export interface Scene {
  readonly store: CampaignStore;
  /** Where workers connect to, if not to the store itself. */
  readonly proxy?: { readonly connection: ConnectionSettings; close(): void };
  /** The first one sets the pace. */
  readonly faults: readonly [Fault, ...Fault[]];
  /** So many workflows are sent for each strike of the first fault. */
  readonly workflowsPerStrike: number;
  readonly workload?: Omit<WorkloadSettings, 'seed'>;
  /** Processes that send; default: the driver does. */
  readonly producers?: number;
  readonly heapMb?: number;
  readonly silenceMs?: number;
  /** One handler in so many blocks the event loop of its process. */
  readonly blocking?: { readonly oneIn: number; readonly ms: number };
  readonly mayReject?: boolean;
  /** How wrong the clocks of workers are, one after the other, and those of producers, from the last to the first. */
  readonly skewsMs?: readonly number[];
  readonly timed?: TimedSettings;
  /** How long results and failures are kept. */
  readonly ttlMs?: number;
  /** How long handlers take, of what they take by default. */
  readonly slowness?: number;
  /** Default 1. */
  readonly recoveries?: number;
}

export interface SceneOptions {
  /** Faults strike so many times as often. */
  readonly haste: number;
  readonly lockMs: number;
  readonly store: StoreName;
  /** Of the campaign. */
  readonly folder: string;
}

export type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIOS = {
  /** Workers all the time, and the store now and then. */
  async kills({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [killWorker(every(1, 2.9, haste)), ...outages(store, 20, 36, haste)],
      workflowsPerStrike: 6,
    };
  },

  /** Redis every few seconds, and frozen for longer than a lock; workers too, and handlers that block. */
  async redis({ haste, lockMs }: SceneOptions): Promise<Scene> {
    const store = await startStore();
    return {
      store,
      faults: [
        killRedis(store, every(2, 6, haste)),
        killWorker(every(3, 8, haste)),
        freezeRedis(store, every(20, 40, haste)),
        freezeWorker(every(10, 30, haste)),
      ],
      workflowsPerStrike: 10,
      blocking: { oneIn: Math.ceil(1000 / haste ** 2), ms: 1.5 * lockMs },
      mayReject: true,
      recoveries: 3, // of a lock that is held by a process that was frozen, and of a store that was
    };
  },

  /** Connections that break, replies that are late, commands that are refused. */
  async network({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    const proxy =
      store.kind === 'redis' ? new RedisProxy(store.port) : new PostgresProxy(store.connection.url);
    const url = await proxy.listen();
    return {
      store,
      proxy: { connection: { url }, close: () => proxy.close() },
      faults: [
        refusals(proxy, kind, every(2, 5, haste)),
        cutConnection(proxy, 'cut-before', every(1, 4, haste)),
        cutConnection(proxy, 'cut-after', every(1, 4, haste)),
        slowReplies(proxy, every(4, 10, haste)),
        killWorker(every(6, 12, haste)),
      ],
      workflowsPerStrike: 8,
    };
  },

  /** Tasks that end their process, or never end. */
  async poison({ haste, lockMs, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [killWorker(every(6, 12, haste)), poisonDeaths()],
      workflowsPerStrike: 15,
      workload: { poisonOneIn: 12 },
      heapMb: 64,
      silenceMs: Math.min(10_000, 2 * lockMs),
      recoveries: 12, // poison is started eleven times
    };
  },

  /** Workflows that are revoked while they run, some twice, while workers and the store are killed. */
  async revoke({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [
        revoke(every(0.3, 1.2, haste)),
        killWorker(every(2, 4, haste)),
        ...outages(store, 15, 30, haste),
      ],
      workflowsPerStrike: 3,
      workload: { withoutCallbacks: true },
    };
  },

  /** Producers that are killed while they send, and workflows that are sent many times. */
  async submit({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      producers: 3,
      faults: [
        killProducer(every(0.5, 1.5, haste)),
        sendDuplicates(every(3, 6, haste)),
        killWorker(every(5, 10, haste)),
        ...outages(store, 15, 30, haste),
      ],
      workflowsPerStrike: 6,
      mayReject: true, // by their producer's death
    };
  },

  /** Workers and senders that are deployed anew, one version of the code after the other, and killed now and then. */
  async deploy({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [rollDeployments(every(1, 2, haste)), killWorker(every(6, 12, haste))],
      workflowsPerStrike: 6,
    };
  },

  /** A store that answers and refuses writes for longer than a lock: no handler has to run again. */
  async refused({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    const often = every(4, 10, haste);
    return {
      store,
      faults:
        store.kind === 'redis'
          ? [fillMemory(store, often), demandReplicas(store, often)]
          : [readOnly(store, often), lockTable(store, often)],
      workflowsPerStrike: 15,
      mayReject: true,
      recoveries: 2,
    };
  },

  /** Workers and senders whose clocks are an hour early or late; senders are killed, so that many begin anew. */
  async clocks({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      producers: 3,
      faults: [
        killWorker(every(2, 4, haste)),
        killProducer(every(0.5, 1.5, haste)),
        ...outages(store, 15, 30, haste),
      ],
      workflowsPerStrike: 8,
      workload: { appointedOneIn: 2 },
      skewsMs: [HOUR_MS, -HOUR_MS, 0],
      mayReject: true, // by their producer's death
    };
  },

  /** Schedules and a queue with limits, while workers and the store are killed. */
  async timed({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [killWorker(every(2, 4, haste)), ...outages(store, 15, 30, haste)],
      workflowsPerStrike: 4,
      timed: { schedules: 10, limits: { perSecond: 10, concurrency: 3 } },
    };
  },

  /** Results that live for less time than workflows take. */
  async ttl({ haste, store: kind, folder }: SceneOptions): Promise<Scene> {
    const store = await startServer(kind, folder);
    return {
      store,
      faults: [killWorker(every(2, 4, haste))],
      workflowsPerStrike: 3,
      slowness: 8 * haste,
      ttlMs: 8000, // waiters look every five seconds
    };
  },

  /** A cluster whose primaries are killed in turn. */
  async cluster({ haste }: SceneOptions): Promise<Scene> {
    const store = await ClusterStore.start();
    return {
      store,
      faults: [failOver(store, every(3, 8, haste)), killWorker(every(3, 8, haste))],
      workflowsPerStrike: 20,
    };
  },
};

/** Scenarios whose faults are those of Redis. */
const REDIS_ONLY: ReadonlySet<string> = new Set<ScenarioName>(['redis', 'cluster']);

/** Returns whether a scenario can run on a store. */
export function isOn(scenario: ScenarioName, store: StoreName): boolean {
  return store === 'redis' || !REDIS_ONLY.has(scenario);
}

function startServer(kind: StoreName, folder: string): Promise<SingleStore | PostgresStore> {
  return kind === 'redis' ? startStore() : startPostgresStore(folder);
}

/** Outages of a server, about once in a time. PostgreSQL restarts in two ways, and ends sessions more often. */
function outages(
  store: SingleStore | PostgresStore,
  minSeconds: number,
  maxSeconds: number,
  haste: number,
): Fault[] {
  if (store.kind === 'redis') return [killRedis(store, every(minSeconds, maxSeconds, haste))];
  const rarely = every(2 * minSeconds, 2 * maxSeconds, haste);
  return [
    restartPostgres(store, 'immediate', rarely),
    restartPostgres(store, 'fast', rarely),
    cutSessions(store, every(minSeconds / 5, maxSeconds / 5, haste)),
  ];
}

const HOUR_MS = 3_600_000;

function every(minSeconds: number, maxSeconds: number, haste: number): Fault['everyMs'] {
  return [(minSeconds * 1000) / haste, (maxSeconds * 1000) / haste];
}
