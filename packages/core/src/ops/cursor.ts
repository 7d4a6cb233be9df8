/** Where a page has ended, as opaque text. */

import { InvalidOptionError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import type { TagMark } from '../store/tags.js';

/** Where to go on. */
export type CursorPlace = LivePlace | EndedPlace | WalkPlace | TagPlace;

/** In a set of jobs that have not ended, behind one of those that were given last, or else at an index. */
export interface LivePlace {
  readonly kind: 'live';
  readonly set: string;
  readonly queue: string;
  readonly index: number;
  /** Marks of the jobs that were given last, the last one last. */
  readonly near: readonly string[];
}

/** Among those that have ended, behind a job by its time and its id; the indexes are where they were. */
export interface EndedPlace {
  readonly kind: 'ended';
  readonly set: string;
  readonly at: number;
  readonly id: string;
  readonly indexes: Readonly<Record<string, number>>;
}

/** In a run, behind a job: the way to it, down from the run. */
export interface WalkPlace {
  readonly kind: 'walk';
  readonly path: readonly string[];
}

/** In the index of a tag: behind what is noted there, or, in a run that is, behind a job. */
export interface TagPlace {
  readonly kind: 'tag';
  readonly mark: TagMark;
  readonly path?: readonly string[];
}

/** Longer than that of a job at the end of a chain of thousands. */
const MAX_LENGTH = 1_000_000;

export function encodeCursor(place: CursorPlace, digest: string): string {
  return `${digest}.${Buffer.from(JSON.stringify(place)).toString('base64url')}`;
}

/** @throws {InvalidOptionError} if it is none, or one of another query. */
export function decodeCursor(cursor: unknown, digest: string): CursorPlace {
  const place =
    typeof cursor === 'string' && cursor.length <= MAX_LENGTH ? parsed(cursor, digest) : undefined;
  if (isPlainObject(place) && isPlace(place)) return place as unknown as CursorPlace; // each field was checked
  throw new InvalidOptionError('cursor', 'the `cursor` of a page of the same query', cursor);
}

function parsed(cursor: string, digest: string): unknown {
  if (!cursor.startsWith(`${digest}.`)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor.slice(digest.length + 1), 'base64url').toString());
  } catch {
    return undefined;
  }
}

function isPlace({
  kind,
  set,
  queue,
  index,
  near,
  at,
  id,
  indexes,
  path,
  mark,
}: Record<string, unknown>): boolean {
  switch (kind) {
    case 'live':
      return isText(set) && isText(queue) && isIndex(index) && isTexts(near);
    case 'ended':
      return (
        isText(set) &&
        isText(id) &&
        isIndex(at) &&
        isPlainObject(indexes) &&
        Object.values(indexes).every(isIndex)
      );
    case 'walk':
      return isTexts(path);
    case 'tag':
      return isTagMark(mark) && (path === undefined || isTexts(path));
    default:
      return false;
  }
}

function isTagMark(mark: unknown): boolean {
  if (!isPlainObject(mark)) return false;
  const { at, queue, id, day, line } = mark;
  return 'at' in mark ? isIndex(at) && isText(queue) && isText(id) : isIndex(day) && isIndex(line);
}

const isText = (value: unknown) => typeof value === 'string';
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isIndex = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
