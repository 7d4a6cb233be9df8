/** What a graph of a run is made of: plain data. */
import type { JobState } from '../results/state.js';

/** Where a task stands: `pending` if it waits for earlier ones, or is not added yet; also a state of the task's own. */
export type GraphState = JobState | 'pending' | (string & {});

/** So many tasks in each state. */
export type StateCounts = Readonly<Record<string, number>>;

/** A task of a run, or many members of a group that are the same but for their inputs. */
export interface GraphNode {
  /** The job's id; before sending, its path. With `*` in the place of their indexes if it stands for many. */
  readonly id: string;
  readonly task: string;
  /** The display name, else the task's name. */
  readonly label: string;
  readonly queue: string;
  readonly state: GraphState;
  /** Attempts that have ended. */
  readonly attempts?: number;
  /** When the last attempt began. */
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
  /** Of the last attempt. */
  readonly durationMs?: number;
  /** Why it failed. */
  readonly error?: string;
  /** It stands for so many jobs. */
  readonly count?: number;
  /** Of those, so many in each state. */
  readonly counts?: StateCounts;
  /** One job for each item of a list that is not known yet. */
  readonly isEach?: true;
}

/** Absent for a step that takes what another gives, or waits for it. */
export type EdgeKind = 'link' | 'linkError' | 'finally' | 'fallback';

/** From an earlier task to one after it. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind?: EdgeKind;
  /** The case of a match, or `then` and `otherwise`. */
  readonly label?: string;
}
