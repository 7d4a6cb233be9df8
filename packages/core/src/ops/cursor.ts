/** This module encodes the end of a page as opaque text, so that the next page can continue there. */

import { InvalidOptionError } from '../base/errors.js';
import { isPlainObject } from '../base/text.js';
import type { TagMark } from '../store/tags.js';

/** The position where the next page continues. */
export type CursorPlace = LivePlace | EndedPlace | WalkPlace | TagPlace;

/** In a set of jobs that have not ended: behind the last of these jobs that is still there, or else at an index. */
export interface LivePlace {
  readonly kind: 'live';
  readonly set: string;
  readonly queue: string;
  readonly index: number;
  /** Marks of the jobs that were listed last, latest last. */
  readonly near: readonly string[];
}

/** Among ended jobs: behind a job by its time and id. `indexes`: its index in each queue when the page was read. */
export interface EndedPlace {
  readonly kind: 'ended';
  readonly set: string;
  readonly at: number;
  readonly id: string;
  readonly indexes: Readonly<Record<string, number>>;
}

/** In a run: behind a job. `path`: the ids from the run down to it. */
export interface WalkPlace {
  readonly kind: 'walk';
  readonly path: readonly string[];
}

/** In the index of a tag: behind an entry, or behind a job of the run that the entry refers to. */
export interface TagPlace {
  readonly kind: 'tag';
  readonly mark: TagMark;
  readonly path?: readonly string[];
}

/** Maximum length of a cursor. That of a job at the end of a chain of thousands is shorter. */
const MAX_LENGTH = 1_000_000;

export function encodeCursor(place: CursorPlace, digest: string): string {
  return `${digest}.${Buffer.from(JSON.stringify(place)).toString('base64url')}`;
}

/** @throws {InvalidOptionError} if it is not a cursor, or belongs to another query. */
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
