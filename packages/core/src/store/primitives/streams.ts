/** This module defines commands for events: reading those of many queues at once, and removing old ones. */
import type { EntryRaw, IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** A position in the events of a queue: the id of the last event that was read. */
export interface StreamPlace {
  readonly queue: string;
  readonly after: string;
}

export interface StreamsPrimitive {
  /**
   * Returns the events after each position, in the order of the positions, oldest first, at most `limit` of each. With
   * `blockMs` it waits up to that time for the first event. Without this command, each queue is read with a separate
   * command and without a limit, and readers have to poll.
   */
  readStreams(
    places: readonly StreamPlace[],
    limit: number,
    blockMs?: number,
  ): Promise<readonly (readonly EntryRaw[])[]>;
}

/** Returns the command; undefined for a store without it. */
export function streamsIn(backend: IQueueBackend): StreamsPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'readStreams' in commands ? (commands as StreamsPrimitive) : undefined;
}

export interface EndedJobsPrimitive {
  /**
   * Calls a listener with the ids of jobs of the queue that have ended, as soon as that is stored. If the listener returns
   * true, their events are read at once. Other events may be read later from then on, except progress. Without this
   * command, only events tell.
   */
  noticeEnds(listener: (ids: readonly string[]) => boolean): void;
}

/** Returns the command; undefined for a store without it. */
export function endNoticesIn(backend: IQueueBackend): EndedJobsPrimitive | undefined {
  const commands = commandsOf(backend);
  return 'noticeEnds' in commands ? (commands as EndedJobsPrimitive) : undefined;
}

export interface OldEvents {
  /**
   * Removes the events of a queue that were written before a time, in milliseconds since 1970. The newest one stays, so
   * that an up-to-date reader finds its position again. Without this command, events disappear only after 10,000 newer
   * ones. The memory store has no such command: it ends with its process, and its clock may skip days at once.
   */
  removeOldEvents(before: number): Promise<void>;
}

/** Returns the command; undefined for a store without it. */
export function oldEventsIn(backend: IQueueBackend): OldEvents | undefined {
  const commands = commandsOf(backend);
  return 'removeOldEvents' in commands ? (commands as OldEvents) : undefined;
}
