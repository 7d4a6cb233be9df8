/** What can be done to workers and the store in a campaign. */
import type { ConnectionSettings } from './connection.js';
import type { Fault } from './faults/fault.js';
import { freezeRedis } from './faults/freeze-redis.js';
import { freezeWorker } from './faults/freeze-worker.js';
import { killRedis } from './faults/kill-redis.js';
import { killWorker } from './faults/kill-worker.js';
import { type CampaignStore, startStore } from './redis/server.js';
import type { TaskSettings } from './tasks.js';
import type { WorkloadSettings } from './workload.js';

export interface Scene {
  readonly store: CampaignStore;
  /** Where workers connect to. */
  readonly workers: ConnectionSettings;
  /** The first one sets the pace. */
  readonly faults: readonly [Fault, ...Fault[]];
  /** So many workflows are sent for each strike of the first fault. */
  readonly workflowsPerStrike: number;
  readonly workload?: Omit<WorkloadSettings, 'seed'>;
  readonly heapMb?: number;
  readonly silenceMs?: number;
  readonly blocking?: TaskSettings['blocking'];
}

export interface SceneOptions {
  readonly seed: number;
  /** Faults strike so many times as often. */
  readonly haste: number;
  readonly lockMs: number;
}

export type ScenarioName = keyof typeof SCENARIOS;

export const SCENARIOS = {
  /** Workers all the time, and Redis now and then. */
  async kills({ haste }: SceneOptions): Promise<Scene> {
    const store = await startStore();
    const faults = [killWorker(every(1, 2.9, haste)), killRedis(store, every(20, 36, haste))] as const;
    return { store, workers: store.connection, faults, workflowsPerStrike: 6 };
  },
  /** Redis every few seconds, and frozen for longer than a lock; workers too. */
  async redis({ haste, lockMs }: SceneOptions): Promise<Scene> {
    const store = await startStore();
    const faults = [
      killRedis(store, every(2, 6, haste)),
      killWorker(every(3, 8, haste)),
      freezeRedis(store, every(20, 40, haste)),
      freezeWorker(every(10, 30, haste)),
    ] as const;
    const blocking = { oneIn: 500, ms: 1.5 * lockMs };
    return { store, workers: store.connection, faults, workflowsPerStrike: 10, blocking };
  },
};

export function every(minSeconds: number, maxSeconds: number, haste: number): Fault['everyMs'] {
  return [(minSeconds * 1000) / haste, (maxSeconds * 1000) / haste];
}
