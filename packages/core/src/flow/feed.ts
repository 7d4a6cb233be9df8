/** Members of a large group, which its sender adds one slice after the other once the run is stored. */
import type { NormalizedOptions } from '../tasks/options.js';
import { type FlowNode, INTERNAL_OPTIONS, type Parent } from './node.js';

export interface MembersFeed {
  /** The path of the job that stands for the members while they are added. */
  readonly feed: string;
  /** The path of the group. */
  readonly list: string;
  /** The job that waits for the members. */
  readonly parent: Parent;
  /** It looks at each member itself. */
  readonly unsliced?: true;
  /** The members, planned, as they are read. */
  readonly members: () => AsyncIterable<FlowNode>;
  /** The same at once. Absent: they are read as they are sent. */
  readonly listed?: () => Iterable<FlowNode>;
}

/** After this long without a sign of life from the sender, the feed starts, and fails. */
export const FEED_LEASE_MS = 60_000;

/** A feed has nothing to try again: its sender is there or not. */
export const FEED_OPTIONS: NormalizedOptions = {
  ...INTERNAL_OPTIONS,
  retry: { attempts: 1, backoff: 'fixed', delayMs: 0, maxMs: 0, jitter: false },
  delayMs: FEED_LEASE_MS,
};
