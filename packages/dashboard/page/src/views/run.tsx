/** One workflow run: its graph, its timeline, and a panel for the chosen step. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { addressOf } from '../api.js';
import { duration, plural } from '../format.js';
import { withDistinctLabels } from '../graph/label.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { runCommands } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { actionsOnRun } from '../parts/offers.js';
import {
  Empty,
  Facts,
  Json,
  NotShown,
  Problem,
  Section,
  State,
  Tags,
  Time,
  Title,
  Why,
} from '../parts/parts.js';
import { traceOf } from '../parts/trace.js';
import { Link, navigate, usePlace, withQuery } from '../router.js';
import type { RunDetails } from '../types.js';
import { JobView } from './job.js';
import { Members, useMembers } from './members.js';
import { Timeline } from './timeline.js';

type GraphModule = typeof import('../graph/graph.js');

/** The graph, whose code is loaded when a run is opened. */
function LazyGraph(props: Parameters<GraphModule['default']>[0]) {
  const [module, setModule] = useState<GraphModule>();
  useEffect(() => void import('../graph/graph.js').then(setModule), []);
  if (module === undefined) return <Empty>Drawing …</Empty>;
  const View = module.default;
  return <View {...props} />;
}

export function RunPage({ id }: { readonly id: string }) {
  const path = `/runs/${encodeURIComponent(id)}`;
  const { data, error, reload } = useLive<RunDetails>(path);
  // The same object until the next answer: the graph is laid out for it.
  const run = useMemo(
    () => data && { ...data, graph: { ...data.graph, nodes: withDistinctLabels(data.graph.nodes) } },
    [data],
  );
  const { query } = usePlace();
  const step = query.get('step') ?? '';
  const open = query.get('open') ?? step;
  const nodeOf = (nodeId: string) => run?.graph.nodes.find((each) => each.id === nodeId);
  const unfolded = [nodeOf(open)].find((each) => each?.count !== undefined);
  const members = useMembers(id, unfolded);
  useEffect(() => {
    if (step === '') return undefined;
    const close = (event: KeyboardEvent) => {
      const isForDialog = document.querySelector('dialog[open]') !== null;
      if (event.key === 'Escape' && !isForDialog) navigate(path, true);
    };
    addEventListener('keydown', close);
    return () => removeEventListener('keydown', close);
  }, [path, step]);
  if (run === undefined)
    return (
      <>
        <Title title="Workflow run" />
        <NotShown what="workflow run" error={error} />
      </>
    );
  const node = nodeOf(step);
  /** Opens the panel of a step, and the members of a node with several; members stay open beside the panel of one of them. */
  const choose = (chosen: string) => {
    if (chosen === step) return navigate(path, true);
    const isMember = nodeOf(chosen) === undefined && unfolded !== undefined;
    const cursor = query.get('members') ?? '';
    const kept = isMember ? { open: unfolded.id, members: cursor } : {};
    navigate(withQuery(path, { step: chosen, ...kept }), true);
  };
  const offered = actionsOnRun(run);
  return (
    <>
      <Title title={run.name === '' ? 'Workflow run' : run.name}>
        <Link class="button" to={withQuery('/compare', { a: id })}>
          Compare
        </Link>
        {offered.includes('run.resume') && (
          <Action
            action="run.resume"
            label={run.state === 'failed' ? 'Resume from the failed step' : 'Resume'}
            body={{ id }}
            onDone={reload}
          />
        )}
        {offered.includes('run.wake') && (
          <Action action="run.wake" label="Wake" body={{ id }} onDone={reload} />
        )}
        {offered.includes('job.revoke') && (
          <Action
            action="job.revoke"
            label="Revoke"
            body={{ id, terminate: true }}
            confirm="Steps that have not started never start. Running steps are aborted."
            isDangerous
            onDone={reload}
          />
        )}
        {offered.includes('job.drop') && (
          <Action
            action="job.drop"
            label="Drop"
            body={{ id }}
            confirm="The run and all its steps are removed from the store."
            isDangerous
            onDone={() => navigate('/runs')}
          />
        )}
      </Title>
      <div class="actions">
        <State state={run.state} />
        <code class="dim">{run.id}</code>
        <Tags tags={run.tags} />
      </div>
      <Problem error={error} />
      <Why reason={run.waitReason} />
      {run.error !== undefined && (
        <div class="problem">
          <strong>{run.error.name}</strong> {run.error.message}
        </div>
      )}
      <div class={step === '' ? 'run' : 'run has-panel'}>
        <div>
          <Section
            title="Graph"
            aside={
              <span class="actions">
                <CopyCommands commands={runCommands(run.id)} />
                {(['mmd', 'dot', 'json'] as const).map((format) => (
                  <a
                    key={format}
                    href={addressOf(`api${path}/graph/${format}`)}
                    target="_blank"
                    rel="noreferrer"
                  >
                    {{ mmd: 'Mermaid', dot: 'DOT', json: 'JSON' }[format]}
                  </a>
                ))}
              </span>
            }
          >
            <LazyGraph
              graph={run.graph}
              chosen={step}
              onChoose={choose}
              unfolded={unfolded?.id ?? ''}
              members={members.data}
            />
          </Section>
          <Section title="Timeline">
            <Timeline graph={run.graph} sentAt={run.enqueuedAt} onChoose={choose} />
          </Section>
          <Section title="Run">
            <Facts
              entries={[
                ['Jobs', `${plural(run.graph.jobs, 'job')}${run.graph.isExact ? '' : ' or more'}`],
                ['Sent', <Time key="sent" at={run.enqueuedAt} />],
                ['Ended', run.finishedAt && <Time key="ended" at={run.finishedAt} />],
                ['Took', run.finishedAt && duration(Date.parse(run.finishedAt) - Date.parse(run.enqueuedAt))],
                [
                  'Sent by',
                  run.parentId && (
                    <Link to={`/jobs/${encodeURIComponent(run.parentId)}`}>{run.parentId}</Link>
                  ),
                ],
                ['Trace', traceOf(run.headers)],
                ...Object.entries(run.headers).map(([name, value]) => [`Header ${name}`, value] as const),
              ]}
            />
          </Section>
          {run.output !== undefined && (
            <Section title="Result">
              <Json value={run.output} />
            </Section>
          )}
        </div>
        {step !== '' && (
          <aside class="panel" aria-label="Step">
            <button
              type="button"
              class="quiet close"
              aria-label="Close the panel"
              onClick={() => navigate(path, true)}
            >
              ✕
            </button>
            {node?.count === undefined ? (
              <JobView id={step} isPanel resumedRun={offered.includes('run.resume') ? id : undefined} />
            ) : (
              <Members run={id} node={node} page={members} />
            )}
          </aside>
        )}
      </div>
    </>
  );
}
