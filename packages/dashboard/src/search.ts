/**
 * This module parses search texts such as `state:failed task:mail.* -tag:test after:2h timeout`, and finds the jobs that
 * match. What core has an index for is searched there; the rest is compared job by job, over a bounded number of jobs.
 */
import {
  InvalidOptionError,
  type JobCondition,
  type JobFilter,
  type JobPage,
  type ListedJob,
  type ListedRun,
  type StoredState,
} from '@umbel/core';

/** A parsed search text. */
export interface Search {
  /** What core searches for. */
  readonly filter: JobFilter;
  /** Whether each found job must be compared too. */
  readonly isCompared: boolean;
  /** The qualifiers of what is compared. */
  readonly comparedKeys: ReadonlySet<string>;
  /** The states that are excluded, such as by `-state:failed`. */
  readonly excludedStates: ReadonlySet<string>;
  readonly matches: (item: ListedJob | ListedRun) => boolean;
}

/** Words after `state:` that are no stored states but conditions, and the states in which these occur. */
const CONDITIONS: Readonly<Record<JobCondition, readonly StoredState[]>> = {
  retrying: ['delayed', 'waiting'],
  late: ['delayed', 'waiting'],
  stuck: ['active'],
};
const isCondition = (word: string): word is JobCondition => Object.hasOwn(CONDITIONS, word);

interface Term {
  readonly key: string;
  readonly value: string;
  readonly isExcluded: boolean;
  /** Whether the value is in quotes. */
  readonly isQuoted: boolean;
}

const TERM = /(-)?(?:([a-z]+):)?(?:"([^"]*)"|(\S+))/g;
const KEYS: ReadonlySet<string> = new Set([
  ...['state', 'task', 'name', 'queue', 'tag', 'run', 'error', 'id', 'after', 'before'],
]);
const MAX_LENGTH = 2000;

/** The name or the code of an error, or the beginning of a text about one. */
const ERROR_NAME = /^[A-Z]\w*$/;
/** A name, or a group of tasks such as `mail.*`. */
const TASK = /^[^*]+(?:\.\*)?$/;

interface SearchOptions {
  /** The time from which `after:2h` counts back. */
  readonly now: Date;
  /** Whether the app has an index of errors. */
  readonly isIndexed: boolean;
}

/**
 * Parses a search text.
 * @throws {InvalidOptionError} if it has an unknown qualifier or an invalid time.
 */
export function parseSearch(text: string, { now, isIndexed }: SearchOptions): Search {
  if (text.length > MAX_LENGTH) throw new InvalidOptionError('q', 'at most 2,000 characters', text.length);
  const terms = [...text.matchAll(TERM)].map(termOf);
  const included = (key: string) =>
    terms.filter((term) => term.key === key && !term.isExcluded).map(({ value }) => value);
  const words = included('state');
  const states = words.flatMap((word) => (isCondition(word) ? CONDITIONS[word] : [word as StoredState])); // core checks them
  const [word = ''] = words;
  const condition = words.length === 1 && isCondition(word) ? word : undefined;
  /** The only value of a key if core can search for it. */
  const only = (key: string, isSearched = (term: Term) => !term.value.includes('*')) => {
    const [first, ...others] = terms.filter((term) => term.key === key && !term.isExcluded);
    return first !== undefined && others.length === 0 && isSearched(first) ? first.value : undefined;
  };
  const [queue, tag, run] = [only('queue'), only('tag'), only('run')];
  const task = only('task', ({ value }) => TASK.test(value));
  const error = only('error', ({ value, isQuoted }) => isIndexed && !isQuoted && ERROR_NAME.test(value));
  const [after, before] = [included('after').at(-1), included('before').at(-1)];
  const filter: JobFilter = {
    ...(states.length > 0 && { state: [...new Set(states)] }),
    ...(condition !== undefined && { condition }),
    ...(task !== undefined && { task }),
    ...(error !== undefined && { error }),
    ...(queue !== undefined && { queue }),
    ...(tag !== undefined && { tag }),
    ...(run !== undefined && { run }),
    ...(after !== undefined && { since: momentOf('after', after, now) }),
    ...(before !== undefined && { until: momentOf('before', before, now) }),
  };
  const compared = terms.filter((term) => !isSearchedByCore(term, filter));
  return {
    filter,
    isCompared: compared.length > 0,
    comparedKeys: new Set(compared.map(({ key }) => key)),
    excludedStates: new Set(
      terms.filter(({ key, isExcluded }) => key === 'state' && isExcluded).map(({ value }) => value),
    ),
    matches: (item) => allMatch(compared, item),
  };
}

function termOf([, minus, key, quoted, plain = '']: RegExpMatchArray): Term {
  const isText = key !== undefined && !KEYS.has(key);
  if (isText && quoted === undefined && !plain.startsWith('//') && !plain.startsWith(':'))
    throw new InvalidOptionError('q', `a qualifier of ${[...KEYS].join(', ')}`, `${key}:`);
  const value = quoted ?? plain;
  const facts = { isExcluded: minus !== undefined, isQuoted: quoted !== undefined };
  return isText
    ? { key: 'text', value: `${key}:${value}`, ...facts }
    : { key: key ?? 'text', value, ...facts };
}

function isSearchedByCore({ key, value, isExcluded }: Term, filter: JobFilter): boolean {
  if (isExcluded) return false;
  if (key === 'after' || key === 'before') return true;
  if (key === 'state') return !isCondition(value) || filter.condition === value;
  return filter[key as 'task' | 'error' | 'queue' | 'tag' | 'run'] === value;
}

/** Terms with different keys must all match; of several included terms with one key, one must. */
function allMatch(terms: readonly Term[], item: ListedJob | ListedRun): boolean {
  const open = new Map<string, boolean>();
  for (const term of terms) {
    const isMatch = termMatches(term, item);
    if (term.isExcluded && isMatch) return false;
    if (term.isExcluded) continue;
    if (term.key === 'text' && !isMatch) return false;
    open.set(term.key, (open.get(term.key) ?? false) || isMatch);
  }
  return ![...open.values()].includes(false);
}

function termMatches({ key, value }: Term, item: ListedJob | ListedRun): boolean {
  const job = 'task' in item ? item : undefined;
  switch (key) {
    case 'state':
      if (isCondition(value)) return job?.conditions?.includes(value) === true;
      return item.state === value || job?.ownState === value;
    case 'task':
      return job !== undefined && isLike(job.task, value);
    case 'name':
      return isLike(nameOf(item), value);
    case 'queue':
      return job !== undefined && isLike(job.queue, value);
    case 'tag':
      return item.tags.some((tag) => isLike(tag, value));
    case 'run':
      return job?.runId === value;
    case 'id':
      return item.id.startsWith(value);
    case 'error':
      return includes(item.reason, value);
    default:
      return [item.id, job?.task, nameOf(item), item.reason, ...item.tags].some((text) =>
        includes(text, value),
      );
  }
}

const nameOf = (item: ListedJob | ListedRun) => ('displayName' in item ? item.displayName : item.name);

const includes = (text: string | undefined, part: string) =>
  text?.toLowerCase().includes(part.toLowerCase()) === true;

/** Whether a name has the form of a pattern in which `*` stands for any text. */
function isLike(name: string, pattern: string): boolean {
  const parts = pattern.split('*');
  const [first = '', ...others] = parts;
  const last = others.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of others) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - at >= last.length && name.endsWith(last);
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function momentOf(key: string, text: string, now: Date): Date {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return new Date(now.getTime() - Number(count) * (UNITS[unit] ?? 0));
  const date = new Date(text);
  if (/^\d{4}-/.test(text) && !Number.isNaN(date.getTime())) return date;
  throw new InvalidOptionError(key, "a time such as '2030-01-31T08:00:00Z', or '2h' for two hours ago", text);
}

// Pages of matching jobs

/** Number of items after which an answer ends. */
const PAGE_SIZE = 50;
/** Number of jobs after which an answer ends. */
const MAX_READ = 5000;
/** Time after which an answer ends: it has what was found until then, and the page reads the next one. */
const TIME_BUDGET_MS = 100;

/** A page of found jobs. */
export interface FoundPage<Item> {
  readonly items: readonly Item[];
  /** Continues the search. Absent at its end. */
  readonly cursor?: string;
  /** Number of jobs that were read for it. */
  readonly read: number;
  /** Number of jobs and runs that were sent lately, are not in the index yet, and were not searched. */
  readonly notIndexed?: number;
}

/**
 * Returns the next matching items: about 50, fewer if the jobs that can be read in a tenth of a second hold no more. It reads at
 * least 50 jobs, and at most some more than 5,000.
 */
export async function findPage<Item extends ListedJob | ListedRun>(
  { matches, isCompared }: Search,
  cursor: string | undefined,
  list: (page: { limit: number; timeBudget: number; cursor?: string }) => Promise<JobPage<Item>>,
  clock: () => number = () => performance.now(),
): Promise<FoundPage<Item>> {
  const endsAt = clock() + TIME_BUDGET_MS;
  const items: Item[] = [];
  let next = cursor;
  let read = 0;
  let notIndexed = 0;
  for (;;) {
    const page = await list({
      limit: isCompared ? 4 * PAGE_SIZE : PAGE_SIZE,
      timeBudget: Math.max(0, endsAt - clock()),
      ...(next !== undefined && { cursor: next }),
    });
    items.push(...page.items.filter(matches));
    next = page.cursor;
    read += page.read;
    notIndexed = Math.max(notIndexed, page.notIndexed ?? 0);
    const isOver = read >= MAX_READ || clock() >= endsAt;
    if (next === undefined || items.length >= PAGE_SIZE || isOver) break;
  }
  return {
    items,
    read,
    ...(next !== undefined && { cursor: next }),
    ...(notIndexed > 0 && { notIndexed }),
  };
}
