/** The workers, their processes and what they run. */
import { bytes, number, took } from '../format.js';
import { useLive } from '../live.js';
import { Empty, Problem, Section, State, Time, Title } from '../parts/parts.js';
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
      <Title title="Workers" />
      <Problem error={error} />
      {data?.workers.length === 0 && (
        <Empty>
          No worker was seen within the last hour. Start one: <code>npx umbel worker ./tasks.ts</code>
        </Empty>
      )}
      {data?.workers.map((worker) => (
        <Section key={worker.name} title={worker.name} aside={<State state={worker.state} />}>
          <table class="list">
            <thead>
              <tr>
                <th>Process</th>
                <th>State</th>
                <th>Version</th>
                <th>Running</th>
                <th>Load</th>
                <th>Memory</th>
                <th>Up</th>
                <th>Last seen</th>
              </tr>
            </thead>
            <tbody>
              {worker.processes.map((each) => (
                <tr key={each.id}>
                  <td class="main">
                    {each.host} <span class="dim">pid {each.pid}</span>
                  </td>
                  <td data-label="State">
                    <State state={each.state} />
                  </td>
                  <td data-label="Version">{each.version}</td>
                  <td data-label="Running">
                    {each.active} of {each.concurrency}
                  </td>
                  <td data-label="Load">{Math.round(each.load * 100)} %</td>
                  <td data-label="Memory">{bytes(each.rssBytes)}</td>
                  <td data-label="Up">{each.state === 'missing' ? '–' : took(each.startedAt, undefined)}</td>
                  <td data-label="Last seen">
                    <Time at={each.lastSeenAt} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
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
    <table class="list">
      <thead>
        <tr>
          <th>Running</th>
          <th>Queue</th>
          <th>Attempt</th>
          <th>For</th>
        </tr>
      </thead>
      <tbody>
        {attempts.slice(0, MAX_RUNNING).map(({ id, task, queue, attempt, startedAt }) => (
          <tr key={id}>
            <td class="main">
              <Link to={`/jobs/${encodeURIComponent(id)}`}>{task}</Link>
            </td>
            <td data-label="Queue">{queue}</td>
            <td data-label="Attempt">{attempt}</td>
            <td data-label="For">{took(startedAt, undefined)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
