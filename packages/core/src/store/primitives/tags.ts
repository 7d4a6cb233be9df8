/** This module defines the commands of the index of tags; `tags.ts` uses it. */
import type { IQueueBackend } from 'bullmq';
import { commandsOf } from '../engine/drivers.js';

/** The tags of a call or a run, as hashes. */
export interface TagNote extends TaggedEntry {
  /** 32 characters each; at most 20. */
  readonly tags: readonly string[];
  /** When the note is checked next, in milliseconds since 1970. */
  readonly checkAt: number;
}

/** A tagged call or run, and when it was noted, in milliseconds since 1970. */
export interface TaggedEntry {
  readonly queue: string;
  readonly id: string;
  readonly at: number;
}

/** The index of tags. Without it, tags are noted by day, and jobs that wait for longer than the retention are not found. */
export interface TagPrimitives {
  /** Adds notes in one command. Adding a note again changes nothing. */
  noteTags(notes: readonly TagNote[]): Promise<void>;
  /** Returns up to `limit` entries with a tag, the latest first: from an entry on, or after it (`isBehind`). */
  findTagged(
    tag: string,
    limit: number,
    from: TaggedEntry | undefined,
    isBehind: boolean,
  ): Promise<readonly TaggedEntry[]>;
  /**
   * Checks up to `limit` notes that are due: removes those whose job is missing, and sets when the others are due again.
   * Returns the number of checked notes.
   */
  checkTags(
    now: number,
    limit: number,
    keeping: { readonly completedMs: number; readonly failedMs: number },
  ): Promise<number>;
  /** Absent where adding notes is cheap. */
  readonly noteQueue?: TagNoteQueue;
  /**
   * Whether adding the job of a call that is tagged or indexed (`TAGGED_DATA`, `INDEXED_DATA`) also adds a note to the queue,
   * with the same command.
   */
  readonly notesCalls?: boolean;
}

/**
 * Queue of notes that are not in the index yet. The index is sorted by tag, so adding the 20 tags of a call takes the store
 * several times as long as adding the call. Adding a note to this queue is cheap.
 */
export interface TagNoteQueue {
  /** Adds notes, each a unique text. Returns the length of the queue. */
  push(texts: readonly string[]): Promise<number>;
  /** Returns the oldest notes, the oldest first, and the length of the queue. Fewer than `limit` if calls are large. */
  first(limit: number): Promise<QueuedNotes>;
  /** Returns the latest notes, the latest first, and the length of the queue. Fewer than `limit` if calls are large. */
  latest(limit: number): Promise<QueuedNotes>;
  /**
   * Removes the oldest notes, which have these texts and are in the index. Returns false if another process has removed them
   * before, and then removes nothing.
   */
  take(texts: readonly string[]): Promise<boolean>;
}

/** Notes at one end of the queue, and the length of the whole queue. */
export interface QueuedNotes {
  readonly notes: readonly QueuedNote[];
  readonly count: number;
}

/** An entry of the queue of notes. */
export interface QueuedNote {
  /** What was pushed, or for a call that the store has noted: its queue and id, as `queue/id`. */
  readonly text: string;
  /** The job of such a call; undefined if it is missing. */
  readonly call?: {
    readonly task: string;
    /** Its data, or the part that says how it is noted. */
    readonly data: string;
    /** In milliseconds since 1970. */
    readonly sentAt: number;
  };
}

/** Returns the index of tags of a store; undefined if it has none. */
export function tagPrimitivesOf(backend: IQueueBackend): TagPrimitives | undefined {
  const commands = commandsOf(backend);
  return 'noteTags' in commands && 'findTagged' in commands && 'checkTags' in commands
    ? (commands as TagPrimitives)
    : undefined;
}
