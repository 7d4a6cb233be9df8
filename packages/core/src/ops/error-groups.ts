/**
 * This module groups failed jobs by their errors: by name, code and the place in the user's code that threw.
 * `app.deadLetters.groups` and its filter `group` use it.
 */
import type { ErrorRecord } from '../base/errors.js';
import { digestId } from '../job/ids.js';

/** Failed jobs with the same kind of error, thrown at the same place. */
export interface ErrorGroup {
  /** Identifies the group, also in other processes: `list({ group: id })`, `replayMany({ group: id })`. */
  readonly id: string;
  /** The `name` of the errors. */
  readonly name: string;
  /** The `code` of the errors, if they have one. */
  readonly code?: string | number;
  /**
   * The place that threw, such as `mail/send.ts:12`: the file with its folder, and the line. Code of Node.js and of installed
   * packages is skipped. Absent if the stack names no other code; then the group has the message in common.
   */
  readonly frame?: string;
  /** The first line of the latest message, with numbers and ids replaced by `#`. */
  readonly message: string;
  /** Number of jobs among those that were read. */
  readonly count: number;
  /** The first and the last failure among the jobs that were read. */
  readonly firstAt: Date;
  readonly lastAt: Date;
  /** The tasks of the jobs, at most 20. */
  readonly tasks: readonly string[];
  /** The id of the job that failed last. */
  readonly latestId: string;
}

/** The answer of `app.deadLetters.groups`. */
export interface ErrorGroups {
  /** The group that failed last comes first. */
  readonly groups: readonly ErrorGroup[];
  /** Number of failed jobs that were read. */
  readonly read: number;
  /** Present if older failed jobs were left out: `groups({ …, cursor })` groups the next ones. */
  readonly cursor?: string;
}

const MAX_TASKS = 20;
const MAX_MESSAGE_LENGTH = 300;
const ID_LENGTH = 16;

/** Returns the id of the group of an error. */
export function errorGroupId(error: ErrorRecord): string {
  const { name, code } = error;
  const frame = topFrame(error.stack);
  const kind = [name, code ?? null, frame === undefined ? foldedMessage(error) : null, frame ?? null];
  return digestId(JSON.stringify(kind), ID_LENGTH);
}

interface FailureToGroup {
  readonly id: string;
  readonly task: string;
  readonly failedAt: number;
  readonly error: ErrorRecord;
}

/** Collects failures, the latest first, into groups. */
export class ErrorGrouping {
  readonly #groups = new Map<string, ErrorGroup>();

  add({ id, task, failedAt, error }: FailureToGroup): void {
    const key = errorGroupId(error);
    const known = this.#groups.get(key);
    if (known === undefined) {
      const frame = topFrame(error.stack);
      this.#groups.set(key, {
        id: key,
        name: error.name,
        ...(error.code !== undefined && { code: error.code }),
        ...(frame !== undefined && { frame }),
        message: foldedMessage(error),
        count: 1,
        firstAt: new Date(failedAt),
        lastAt: new Date(failedAt),
        tasks: [task],
        latestId: id,
      });
      return;
    }
    const { tasks } = known;
    const isNew = tasks.length < MAX_TASKS && !tasks.includes(task);
    this.#groups.set(key, {
      ...known,
      count: known.count + 1,
      firstAt: new Date(failedAt),
      ...(isNew && { tasks: [...tasks, task] }),
    });
  }

  /** The groups, the one that failed last first. */
  get groups(): readonly ErrorGroup[] {
    return [...this.#groups.values()];
  }
}

// Places in stacks

/** `location:line:column` at the end of a line, in brackets or not. */
const POSITION = /:(\d+):\d+\)?$/;
/** Longer lines are not read as places. */
const MAX_LINE_LENGTH = 500;
/** Not the user's code. */
const FOREIGN = /^(?:node:|internal\/|native|<anonymous>|eval at )|[\\/]node_modules[\\/]/;

/** Returns the topmost place of the user's code in a stack. */
function topFrame(stack: string | undefined): string | undefined {
  for (const line of (stack ?? '').split('\n')) {
    if (line.length > MAX_LINE_LENGTH) continue;
    const place = line.trim();
    const position = POSITION.exec(place);
    if (position === null || !place.startsWith('at ')) continue;
    const named = place.slice('at '.length, position.index);
    const location = named.slice(named.lastIndexOf('(') + 1).replace(/^async /, '');
    if (location === '' || FOREIGN.test(location)) continue;
    return `${shortPath(location)}:${position[1]}`;
  }
  return undefined;
}

/** Returns a file with its folder: the folders above differ between machines and releases. */
function shortPath(location: string): string {
  const path = location.replace(/[?#].*$/, '').split(/[\\/]/);
  return path.slice(-2).join('/');
}

// Messages

/** Ids: UUIDs, long hexadecimal texts, and words that mix letters and digits as generated ids do. */
const IDS =
  /\b(?:[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|[0-9a-f]{12,}|(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{16,})\b/gi;
const NUMBERS = /\d(?:[\d.,:]*\d)?/g;

/** Returns the first line of a message without what differs between jobs. */
function foldedMessage({ message }: ErrorRecord): string {
  const [line = ''] = message.split('\n', 1);
  return line
    .slice(0, 2 * MAX_MESSAGE_LENGTH)
    .replace(IDS, '#')
    .replace(NUMBERS, '#')
    .slice(0, MAX_MESSAGE_LENGTH);
}
