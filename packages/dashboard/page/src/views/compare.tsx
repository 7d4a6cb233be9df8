/** Two workflow runs side by side: what is different in their steps and in their results. */
import { useState } from 'preact/hooks';
import { duration, took } from '../format.js';
import { useLive } from '../live.js';
import {
  type Difference,
  differencesOf,
  isDifferent,
  pairedSteps,
  type StepPair,
} from '../parts/difference.js';
import { Empty, Facts, Problem, Section, State, Tags, Time, Title } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import { Link, navigate, usePlace, withQuery } from '../router.js';
import type { Found, Node, Run, RunDetails, Value } from '../types.js';

export function Compare() {
  const { query } = usePlace();
  const [a, b] = [query.get('a') ?? '', query.get('b') ?? ''];
  return (
    <>
      <Title title="Compare two runs" />
      <Chooser a={a} b={b} key={`${a} ${b}`} />
      {a !== '' && b !== '' && <Comparison a={a} b={b} />}
    </>
  );
}

const MAX_SUGGESTED = 20;

function Chooser({ a, b }: { readonly a: string; readonly b: string }) {
  const [ids, setIds] = useState({ a, b });
  const recent = useLive<Found<Run>>('/list/runs').data?.items.slice(0, MAX_SUGGESTED) ?? [];
  return (
    <form
      class="fields compared"
      onSubmit={(event) => {
        event.preventDefault();
        navigate(withQuery('/compare', { a: ids.a.trim(), b: ids.b.trim() }));
      }}
    >
      {(['a', 'b'] as const).map((side) => (
        <label key={side}>
          {side === 'a' ? 'Run A' : 'Run B'}
          <input
            list="recent-runs"
            required
            spellcheck={false}
            autocomplete="off"
            placeholder="Id of a workflow run"
            value={ids[side]}
            onInput={(event) => setIds({ ...ids, [side]: event.currentTarget.value })}
          />
        </label>
      ))}
      <datalist id="recent-runs">
        {recent.map(({ id, name, tags, state }) => (
          <option key={id} value={id} label={[name, state, ...tags].join(' ')} />
        ))}
      </datalist>
      <button type="submit" class="solid">
        Compare
      </button>
    </form>
  );
}

function Comparison({ a, b }: { readonly a: string; readonly b: string }) {
  const one = useLive<RunDetails>(`/runs/${encodeURIComponent(a)}`);
  const other = useLive<RunDetails>(`/runs/${encodeURIComponent(b)}`);
  const [isAll, setAll] = useState(false);
  if (one.data === undefined || other.data === undefined)
    return one.error === undefined && other.error === undefined ? (
      <Empty>Loading …</Empty>
    ) : (
      <>
        <Problem error={one.error} />
        <Problem error={other.error} />
      </>
    );
  const [runA, runB] = [one.data, other.data];
  const pairs = pairedSteps([runA.id, runA.graph.nodes], [runB.id, runB.graph.nodes]);
  const different = pairs.filter(isDifferent);
  return (
    <>
      <div class="cards">
        <RunFacts side="A" run={runA} />
        <RunFacts side="B" run={runB} />
      </div>
      <Section
        title={`Steps: ${different.length} of ${pairs.length} differ`}
        aside={
          <label class="check">
            <input type="checkbox" checked={isAll} onChange={() => setAll(!isAll)} /> Show equal steps
          </label>
        }
      >
        <Table
          label="Steps"
          rows={isAll ? pairs : different}
          keyOf={({ position }) => position}
          columns={stepColumns(runA.id, runB.id)}
          empty="All steps ended alike."
        />
      </Section>
      <Section title="Results">
        <Results a={runA.output} b={runB.output} />
      </Section>
    </>
  );
}

function RunFacts({ side, run }: { readonly side: string; readonly run: RunDetails }) {
  const { id, name, state, tags, enqueuedAt, finishedAt, error } = run;
  return (
    <Section title={`Run ${side}`} aside={<State state={state} />}>
      <Facts
        entries={[
          ['Workflow', name],
          [
            'Id',
            <Link key="id" to={`/runs/${encodeURIComponent(id)}`}>
              <code>{id}</code>
            </Link>,
          ],
          ['Sent', <Time key="sent" at={enqueuedAt} />],
          ['Took', took(enqueuedAt, finishedAt)],
          ['Tags', tags.length > 0 ? <Tags key="tags" tags={tags} /> : undefined],
          ['Error', error && `${error.name}: ${error.message}`],
        ]}
      />
    </Section>
  );
}

function Side({ run, node }: { readonly run: string; readonly node: Node | undefined }) {
  if (node === undefined) return <span class="dim">not in this run</span>;
  return (
    <>
      <Link to={withQuery(`/runs/${encodeURIComponent(run)}`, { step: node.id })}>
        <State state={node.state} />
      </Link>{' '}
      <span class="dim">
        {node.durationMs !== undefined && duration(node.durationMs)}
        {(node.attempts ?? 0) > 1 && `, ${node.attempts} attempts`}
        {node.count !== undefined && `${node.count} jobs`}
      </span>
      {node.error !== undefined && <div class="sub">{node.error}</div>}
    </>
  );
}

const stepColumns = (runA: string, runB: string): readonly Column<StepPair>[] => [
  { title: 'Step', kind: 'main', cell: ({ a, b }) => (a ?? b)?.label },
  { title: 'Run A', kind: 'wide', cell: ({ a }) => <Side run={runA} node={a} /> },
  { title: 'Run B', kind: 'wide', cell: ({ b }) => <Side run={runB} node={b} /> },
];

const shown = (value: unknown) => (value === undefined ? '–' : JSON.stringify(value));

const RESULT_COLUMNS: readonly Column<Difference>[] = [
  { title: 'Place', kind: 'main', cell: ({ path }) => <code>{path || 'whole result'}</code> },
  { title: 'Run A', kind: 'wide', cell: ({ a }) => <code>{shown(a)}</code> },
  { title: 'Run B', kind: 'wide', cell: ({ b }) => <code>{shown(b)}</code> },
];

function Results({ a, b }: { readonly a: Value | undefined; readonly b: Value | undefined }) {
  if (a === undefined && b === undefined) return <Empty>Neither run has a result.</Empty>;
  if (a?.isCut || b?.isCut) return <Empty>A result is too long to compare here.</Empty>;
  const parsedOf = (value: Value | undefined): unknown => value && JSON.parse(value.json);
  return (
    <Table
      label="Differences of the results"
      rows={differencesOf(parsedOf(a), parsedOf(b))}
      keyOf={({ path }) => path}
      columns={RESULT_COLUMNS}
      empty="The results are equal."
    />
  );
}
