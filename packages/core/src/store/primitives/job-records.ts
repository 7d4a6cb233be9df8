/** This module reads the records and states of many jobs of a queue with one command. */
import type { IQueueBackend, JobJson } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** A job that was read. */
export interface JobRecord {
  /** Its record without the result; undefined if the store holds no record. */
  readonly json: JobJson | undefined;
  /**
   * BullMQ's state, at the same moment. A job that is in no sorted set and is not active counts as waiting where more than
   * 1,000 jobs wait, and one without a record as unknown: to search the list for each job would take as long as the list is.
   */
  readonly state: string | undefined;
  /** Whether other jobs were added below it. */
  readonly hasChildren: boolean | undefined;
  /** Present instead of the rest for a job with another name than the ones asked for. */
  readonly other?: OtherJob;
}

/** A job with another name than the ones asked for. */
export interface OtherJob {
  /** When it ended, in milliseconds since 1970. Absent if it has not ended. */
  readonly finishedAt?: number;
}

/** What to read of jobs. */
export interface RecordsAsked {
  /** Whether to read their states, and whether they have children. */
  readonly withState: boolean;
  /** Leaves out the records of jobs with another name than this. */
  readonly name?: string | undefined;
}

export interface JobRecordsPrimitive {
  /**
   * Reads jobs, in the order of the ids: undefined for those that do not fit into the answer, which has at most some hundred
   * kilobytes, and for those whose record cannot be read. Read these one by one. Without this command, each job takes two commands, and its state a search in a list.
   */
  readRecords(ids: readonly string[], asked: RecordsAsked): Promise<readonly (JobRecord | undefined)[]>;
}

/** Returns the command; undefined for a store without it. */
export function jobRecordsPrimitiveOf(backend: IQueueBackend): JobRecordsPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'readRecords' in commands ? (commands as JobRecordsPrimitive) : undefined;
}
