/** The workers, their processes and what they run. */
import { bytes, number, took } from '../format.js';
import { useLive } from '../live.js';
import { WORKER_COMMANDS } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Empty, Problem, Section, State, Time, Title } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import { Link } from '../router.js';
import type { Attempt, Stats, Worker } from '../types.js';

interface WorkersAnswer {
  readonly workers: readonly Worker[];
  readonly stats: Readonly<Record<string, Stats>>;
  readonly active: Readonly<Record<string, readonly Attempt[]>>;
}

export function Workers() {
  const { data, error } = useLive<WorkersAnswer>('/workers');
  return (
    <>
      <Title title="Workers">
        <CopyCommands commands={WORKER_COMMANDS} />
      </Title>
      <Problem error={error} />
      {data?.workers.length === 0 && (
        <Empty>
          No worker was seen within the last hour. Start one: <code>npx umbel worker ./tasks.ts</code>
        </Empty>
      )}
      {data?.workers.map((worker) => (
        <Section key={worker.name} title={worker.name} aside={<State state={worker.state} />}>
          <Table
            label={`Processes of ${worker.name}`}
            rows={worker.processes}
            keyOf={({ id }) => id}
            columns={PROCESS_COLUMNS}
            empty="It has no process."
          />
          <p class="notes">
            Queues:{' '}
            {Object.entries(worker.queues)
              .map(([queue, { active, concurrency }]) => `${queue} ${active}/${concurrency}`)
              .join(', ') || 'none'}
          </p>
          {Object.entries(data.stats)
            .filter(([key]) => isOf(worker, key))
            .map(([key, { counts, node }]) => (
              <p class="notes dim" key={key}>
                {key === worker.name ? 'Since its start' : key}: {number(counts.completed)} completed,{' '}
                {number(counts.failed)} failed, {number(counts.retried)} retried, {number(counts.lost)} lost ·
                Node {node}
              </p>
            ))}
          <Running
            attempts={Object.entries(data.active).flatMap(([key, attempts]) =>
              isOf(worker, key) ? attempts : [],
            )}
          />
        </Section>
      ))}
    </>
  );
}

/** Answers of several processes have the name of their worker and a number. */
const isOf = ({ name }: Worker, key: string) => key === name || key.startsWith(`${name}#`);

const MAX_RUNNING = 50;

function Running({ attempts }: { readonly attempts: readonly Attempt[] }) {
  if (attempts.length === 0) return null;
  return (
    <Table
      label="Running jobs"
      rows={attempts.slice(0, MAX_RUNNING)}
      keyOf={({ id }) => id}
      columns={ATTEMPT_COLUMNS}
      empty=""
    />
  );
}

type Process = Worker['processes'][number];

const PROCESS_COLUMNS: readonly Column<Process>[] = [
  {
    title: 'Process',
    kind: 'main',
    cell: ({ host, pid }) => (
      <>
        {host} <span class="dim">pid {pid}</span>
      </>
    ),
  },
  { title: 'State', kind: 'state', cell: ({ state }) => <State state={state} /> },
  { title: 'Version', cell: ({ version }) => version },
  { title: 'Running', kind: 'number', cell: ({ active, concurrency }) => `${active} of ${concurrency}` },
  { title: 'Load', kind: 'number', cell: ({ load }) => `${Math.round(load * 100)} %` },
  {
    title: 'Loop delay',
    kind: 'number',
    cell: ({ loopDelayMs }) => (loopDelayMs === undefined ? '–' : `${loopDelayMs} ms`),
  },
  { title: 'Memory', kind: 'number', cell: ({ rssBytes }) => bytes(rssBytes) },
  {
    title: 'Up',
    kind: 'number',
    cell: ({ state, startedAt }) => (state === 'missing' ? '–' : took(startedAt, undefined)),
  },
  { title: 'Last seen', cell: ({ lastSeenAt }) => <Time at={lastSeenAt} /> },
];

const ATTEMPT_COLUMNS: readonly Column<Attempt>[] = [
  {
    title: 'Running',
    kind: 'main',
    cell: ({ id, task }) => <Link to={`/jobs/${encodeURIComponent(id)}`}>{task}</Link>,
  },
  { title: 'Queue', cell: ({ queue }) => queue },
  { title: 'Attempt', kind: 'number', cell: ({ attempt }) => attempt },
  { title: 'For', kind: 'number', cell: ({ startedAt }) => took(startedAt, undefined) },
];
