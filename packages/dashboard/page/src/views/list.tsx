/** The lists of jobs and of workflow runs, with a search whose text is in the address. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { number, shortId, took } from '../format.js';
import { useLive } from '../live.js';
import { BulkSearch, Operations } from '../parts/bulk-search.js';
import { listCommands } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { actionsOnSearch } from '../parts/offers.js';
import { Conditions, Empty, Problem, State, Tags, Time, Title } from '../parts/parts.js';
import { SavedViews } from '../parts/saved-views.js';
import { type Column, Table } from '../parts/table.js';
import { Link, navigate, usePlace, withQuery } from '../router.js';
import type { ConditionCounts, Job, JobCounts, Run } from '../types.js';
import { useSearch } from './use-search.js';

type Kind = 'jobs' | 'runs';

const STATES = {
  jobs: ['waiting', 'delayed', 'active', 'retrying', 'late', 'stuck', 'failed', 'completed'],
  runs: ['waiting-children', 'failed', 'completed'],
} as const;
/** The qualifiers that a search can begin with: a run has no queue and no error of its own. */
const HELP = {
  jobs: 'state:failed task:mail.* queue:mail tag:acme run:… id:… error:Timeout after:2h before:2030-01-31 -task:ping, or any text',
  runs: 'state:failed name:invoice* task:mail.* tag:acme id:… after:2h before:2030-01-31 -tag:test, or any text',
} as const;
const PLACEHOLDER = {
  jobs: 'Search: state:failed task:mail.* after:2h',
  runs: 'Search: state:failed name:invoice* after:2h',
} as const;

export function List({ kind }: { readonly kind: Kind }) {
  const { query } = usePlace();
  const q = query.get('q') ?? '';
  const cursor = query.get('cursor') ?? '';
  const path = `/${kind}`;
  const { data, error, isLoading, isGoingOn } = useSearch<Job | Run>(`/list/${kind}`, { q, cursor });
  const counts = useCounts(kind, q);
  const empty =
    data?.cursor === undefined
      ? `No ${kind === 'jobs' ? 'jobs' : 'workflow runs'} match.`
      : isGoingOn
        ? 'Searching …'
        : `None of the next ${number(data.read)} jobs match.`;
  const actions = data === undefined || isGoingOn ? [] : actionsOnSearch(data, cursor === '');
  const isBounded = data?.cursor !== undefined && data.read > data.items.length;
  return (
    <>
      <Title title={kind === 'jobs' ? 'Jobs' : 'Workflow runs'}>
        <CopyCommands commands={listCommands(kind, q)} />
        {kind === 'jobs' && q !== '' && <BulkSearch q={q} actions={actions} />}
      </Title>
      {kind === 'jobs' && <Operations />}
      <Search key={kind} kind={kind} path={path} q={q} />
      <SavedViews path={path} q={q} />
      <nav class="chips" aria-label="States">
        <Chip path={path} q={q} state="" label="All" />
        {STATES[kind].map((state) => (
          <Chip
            key={state}
            path={path}
            q={q}
            state={state}
            label={state === 'waiting-children' ? 'in progress' : state}
            count={counts[state]}
          />
        ))}
      </nav>
      <Problem error={error} />
      {data !== undefined &&
        (kind === 'jobs' ? (
          <Jobs items={data.items as Job[]} empty={empty} />
        ) : (
          <Runs items={data.items as Run[]} empty={empty} />
        ))}
      {data === undefined && isLoading && <Empty>Loading …</Empty>}
      {isBounded && (data.items.length > 0 || isGoingOn) && (
        <p class="dim" role="status">
          {`${number(data.items.length)} of the ${cursor === '' ? 'first' : 'next'} ${number(data.read)} jobs match${counts.searched === undefined ? '' : `, of ${counts.searched} in all`}. `}
          {isGoingOn ? 'Searching further …' : 'There are more to search.'}
        </p>
      )}
      {data?.notIndexed !== undefined && (
        <p class="dim" role="status">
          {`${number(data.notIndexed)} jobs that were sent lately are not in the index yet, so they were not searched.`}
        </p>
      )}
      <div class="actions end">
        {cursor !== '' && <Link to={withQuery(path, { q })}>First page</Link>}
        {data?.cursor !== undefined && !isGoingOn && (
          <Link class="button" to={withQuery(path, { q, cursor: data.cursor })}>
            {data.items.length === 0 || isBounded ? 'Search further' : 'Next page'}
          </Link>
        )}
      </div>
    </>
  );
}

/** Qualifiers with which a search does not read all jobs of the states. */
const NARROWING = /(?:^|\s)(?:task|tag|run|queue|error|after|before):/;

/** Returns the number of jobs that a search goes through; undefined if that is not known. */
function searchedOf(q: string, states: Readonly<Record<string, number>>): number | undefined {
  if (NARROWING.test(q)) return undefined;
  const words = [...q.matchAll(/(?:^|\s)state:(\S+)/g)].map(([, word = '']) => word);
  if (words.length === 0) return Object.values(states).reduce((sum, count) => sum + count, 0);
  if (words.some((word) => states[word] === undefined)) return undefined;
  return words.reduce((sum, word) => sum + (states[word] ?? 0), 0);
}

/**
 * Returns the numbers of jobs by state and condition, `1,000+` if there may be more, and as `searched` the number that the
 * search goes through.
 */
function useCounts(kind: Kind, q: string): Readonly<Record<string, string | undefined>> {
  const states = useLive<JobCounts>('/counts').data?.total;
  const conditions = useLive<ConditionCounts>('/conditions').data;
  if (kind === 'runs') return {};
  const searched = states === undefined ? undefined : searchedOf(q, { ...states });
  return Object.fromEntries([
    ['searched', searched === undefined ? undefined : number(searched)],
    ...Object.entries(states ?? {}).map(([state, count]) => [state, number(count)]),
    ...Object.entries(conditions ?? {}).map(([name, { count, isComplete }]) => [
      name,
      `${number(count)}${isComplete ? '' : '+'}`,
    ]),
  ]);
}

function Search({ kind, path, q }: { readonly kind: Kind; readonly path: string; readonly q: string }) {
  const [text, setText] = useState(q);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const isTyping = /^(?:INPUT|TEXTAREA|SELECT)$/.test((event.target as Element).tagName);
      if (event.key !== '/' || isTyping) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);
  return (
    <search>
      <form
        class="search"
        onSubmit={(event) => {
          event.preventDefault();
          navigate(withQuery(path, { q: text.trim() }));
        }}
      >
        <input
          ref={input}
          type="search"
          aria-label="Search"
          aria-describedby="search-help"
          placeholder={PLACEHOLDER[kind]}
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit">Search</button>
        <p id="search-help" class="dim">
          {HELP[kind]}
        </p>
      </form>
    </search>
  );
}

interface ChipProps {
  readonly path: string;
  readonly q: string;
  readonly state: string;
  readonly label: string;
  readonly count?: string | undefined;
}

function Chip({ path, q, state, label, count }: ChipProps) {
  const current = /(?:^|\s)state:(\S+)/.exec(q)?.[1] ?? '';
  const others = q.replaceAll(/(?:^|\s)state:\S+/g, '').trim();
  const text = [state === '' ? '' : `state:${state}`, others].filter((part) => part !== '').join(' ');
  return (
    <Link to={withQuery(path, { q: text })} class="chip" current={current === state}>
      {label}
      {count !== undefined && <span class="count">{count}</span>}
    </Link>
  );
}

const JOB_COLUMNS: readonly Column<Job>[] = [
  {
    title: 'State',
    kind: 'state',
    cell: (job) => (
      <>
        <State state={job.state} own={job.ownState} />
        <Conditions all={job.conditions} />
      </>
    ),
  },
  {
    title: 'Task',
    kind: 'main',
    cell: (job) => (
      <>
        <Link to={`/jobs/${encodeURIComponent(job.id)}`}>{job.displayName}</Link> <Tags tags={job.tags} />
        <div class="dim sub">
          <code>{shortId(job.id)}</code> {job.displayName !== job.task && <span>{job.task}</span>}{' '}
          {(job.problem ?? job.reason) !== undefined && (
            <span class="reason">{job.problem ?? job.reason}</span>
          )}
        </div>
      </>
    ),
  },
  { title: 'Queue', cell: (job) => job.queue },
  { title: 'Sent', cell: (job) => <Time at={job.enqueuedAt} /> },
  {
    title: 'Took',
    kind: 'number',
    cell: (job) =>
      job.finishedAt !== undefined || job.state === 'active' ? took(job.startedAt, job.finishedAt) : '–',
  },
  { title: 'Attempts', kind: 'number', cell: (job) => job.attempts },
];

export function Jobs({ items, empty }: { readonly items: readonly Job[]; readonly empty?: string }) {
  return (
    <Table
      label="Jobs"
      rows={items}
      keyOf={({ id }) => id}
      columns={JOB_COLUMNS}
      empty={empty ?? 'No jobs.'}
    />
  );
}

const RUN_COLUMNS: readonly Column<Run>[] = [
  { title: 'State', kind: 'state', cell: (run) => <State state={run.state} /> },
  {
    title: 'Run',
    kind: 'main',
    cell: (run) => (
      <>
        <Link to={`/runs/${encodeURIComponent(run.id)}`}>{run.name === '' ? 'Unnamed run' : run.name}</Link>{' '}
        <Tags tags={run.tags} />
        <div class="dim sub">
          <code>{run.id}</code>{' '}
          {(run.problem ?? run.reason) !== undefined && (
            <span class="reason">{run.problem ?? run.reason}</span>
          )}
        </div>
      </>
    ),
  },
  { title: 'Sent', cell: (run) => <Time at={run.enqueuedAt} /> },
  { title: 'Took', kind: 'number', cell: (run) => took(run.enqueuedAt, run.finishedAt) },
];

function Runs({ items, empty }: { readonly items: readonly Run[]; readonly empty: string }) {
  return (
    <Table label="Workflow runs" rows={items} keyOf={({ id }) => id} columns={RUN_COLUMNS} empty={empty} />
  );
}
