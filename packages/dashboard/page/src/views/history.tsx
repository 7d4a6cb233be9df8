/** Throughput, failures, run and wait times over time, of all tasks or of one. */
import { useEffect, useState } from 'preact/hooks';
import type { Series } from '../chart/chart.js';
import { duration, number } from '../format.js';
import { useLive } from '../live.js';
import { Empty, Problem, Section, Title } from '../parts/parts.js';
import { Link, usePlace, withQuery } from '../router.js';
import type { HistoryAnswer, HistoryNumbers, HistoryPoint, TaskHistory } from '../types.js';

type ChartModule = typeof import('../chart/chart.js');

/** The chart, whose code is loaded when the history is opened. */
function LazyChart(props: Parameters<ChartModule['default']>[0]) {
  const [module, setModule] = useState<ChartModule>();
  useEffect(() => void import('../chart/chart.js').then(setModule), []);
  if (module === undefined) return <Empty>Drawing …</Empty>;
  const View = module.default;
  return <View {...props} />;
}

const RANGES = [
  ['', '3 hours'],
  ['24h', '24 hours'],
  ['7d', '7 days'],
] as const;

export function History() {
  const { query } = usePlace();
  const task = query.get('task') ?? '';
  const range = query.get('range') ?? '';
  const { data, error, isLoading } = useLive<HistoryAnswer>(withQuery('/history', { task, range }));
  const tasks = useLive<{ tasks: readonly TaskHistory[] }>(withQuery('/history/tasks', { range })).data
    ?.tasks;
  const points = data?.points ?? [];
  const times = points.map(({ at }) => Date.parse(at) / 1000);
  const line = (
    label: string,
    color: Series['color'],
    of: (point: HistoryPoint) => number | null,
  ): Series => ({
    label,
    color,
    values: points.map(of),
  });
  const ofDurations = (kind: 'runMs' | 'waitMs'): Series[] => [
    line('p50', '--green', (point) => point[kind]?.p50 ?? null),
    { ...line('p95', '--amber', (point) => point[kind]?.p95 ?? null), dash: [6, 4] },
    { ...line('p99', '--red', (point) => point[kind]?.p99 ?? null), dash: [2, 3] },
  ];
  const step = data === undefined ? '' : data.stepMs === 60_000 ? 'minute' : '15 minutes';
  return (
    <>
      <Title title={task === '' ? 'History' : `History of ${task}`}>
        {task !== '' && <Link to={withQuery('/history', { range })}>All tasks</Link>}
      </Title>
      <nav class="chips" aria-label="Time">
        {RANGES.map(([value, label]) => (
          <Link
            key={value}
            class="chip"
            current={range === value}
            to={withQuery('/history', { task, range: value })}
          >
            {label}
          </Link>
        ))}
      </nav>
      <Problem error={error} />
      {data === undefined && isLoading && <Empty>Loading …</Empty>}
      {data?.isKept === false && <Empty>This store keeps no history.</Empty>}
      {data?.isKept === true && (
        <>
          <Section title={`Attempts per ${step}`} aside={<Sums {...data.total} />}>
            <LazyChart
              label={`Attempts per ${step}: ${number(data.total.completed)} completed, ${number(data.total.failed)} failed`}
              times={times}
              series={[
                line('completed', '--green', ({ completed }) => completed),
                { ...line('failed', '--red', ({ failed }) => failed), dash: [6, 4] },
                { ...line('retried', '--amber', ({ retried }) => retried), dash: [2, 3] },
              ]}
              format={number}
            />
          </Section>
          <Section title="Run time of attempts" aside={<Durations {...data.total} kind="runMs" />}>
            <LazyChart label="Run time" times={times} series={ofDurations('runMs')} format={duration} />
          </Section>
          <Section title="Wait for a worker" aside={<Durations {...data.total} kind="waitMs" />}>
            <LazyChart label="Wait time" times={times} series={ofDurations('waitMs')} format={duration} />
          </Section>
        </>
      )}
      {task === '' && tasks !== undefined && tasks.length > 0 && <Tasks tasks={tasks} range={range} />}
    </>
  );
}

function Sums({ completed, failed, retried }: HistoryNumbers) {
  return (
    <span class="dim">
      {number(completed)} completed, {number(failed)} failed, {number(retried)} retried
    </span>
  );
}

function Durations({ kind, ...numbers }: HistoryNumbers & { readonly kind: 'runMs' | 'waitMs' }) {
  const found = numbers[kind];
  if (found === null) return null;
  return (
    <span class="dim">
      p50 {duration(found.p50)}, p95 {duration(found.p95)}, p99 {duration(found.p99)}
    </span>
  );
}

function Tasks({ tasks, range }: { readonly tasks: readonly TaskHistory[]; readonly range: string }) {
  return (
    <Section title="Tasks">
      <table class="list">
        <thead>
          <tr>
            <th>Task</th>
            <th class="number">Completed</th>
            <th class="number">Failed</th>
            <th class="number">Retried</th>
            <th class="number">Run p50 / p95 / p99</th>
            <th class="number">Wait p95</th>
          </tr>
        </thead>
        <tbody>
          {tasks.map(({ task, completed, failed, retried, runMs, waitMs }) => (
            <tr key={task}>
              <td class="main">
                {task.startsWith('(') ? (
                  'other tasks'
                ) : (
                  <Link to={withQuery('/history', { task, range })}>{task}</Link>
                )}
              </td>
              <td class="number" data-label="Completed">
                {number(completed)}
              </td>
              <td class="number" data-label="Failed">
                {number(failed)}
              </td>
              <td class="number" data-label="Retried">
                {number(retried)}
              </td>
              <td class="number" data-label="Run p50 / p95 / p99">
                {runMs === null ? '–' : [runMs.p50, runMs.p95, runMs.p99].map(duration).join(' / ')}
              </td>
              <td class="number" data-label="Wait p95">
                {waitMs === null ? '–' : duration(waitMs.p95)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
