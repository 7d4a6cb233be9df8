/** The store of a campaign, whatever its kind: where workers connect to, and what the driver reads of it. */
import type { ConnectionSettings } from './connection.js';
import type { StoredState } from './stored-state.js';

/** Kinds of stores that campaigns run on. */
export const STORES = ['redis', 'postgres'] as const;
export type StoreName = (typeof STORES)[number];

/** Reads the jobs of an app without Umbel. */
export interface StoreReader {
  state(app: string): Promise<StoredState>;
  /** Returns the number of jobs in these queues that have not ended. */
  countOpenJobs(app: string, queues: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

export interface CampaignStore {
  readonly connection: ConnectionSettings;
  /** Resolves once it takes commands. */
  ready(): Promise<void>;
  /** Returns a reader, which works while the store is there. */
  reader(): StoreReader;
  stop(): Promise<void>;
}
