/** The jobs of a node of a run's graph that represents many, by pages. */
import { useLive } from '../live.js';
import { Empty, Problem, State } from '../parts/parts.js';
import { Link, usePlace, withQuery } from '../router.js';
import type { Found, Job, Node } from '../types.js';
import { Jobs } from './list.js';

export function Members({ run, node }: { readonly run: string; readonly node: Node }) {
  const { query } = usePlace();
  const cursor = query.get('members') ?? '';
  const path = `/runs/${encodeURIComponent(run)}`;
  const task = isOfSeveralTasks(node) ? undefined : node.task;
  const { data, error, isLoading } = useLive<Found<Job>>(
    withQuery(`${path}/members`, { node: node.id, task, cursor }),
  );
  return (
    <>
      <h2 class="panel-title">
        {node.label} × {node.count}
      </h2>
      <p class="actions">
        {Object.entries(node.counts ?? {}).map(([state, count]) => (
          <span key={state}>
            <State state={state} /> {count}
          </span>
        ))}
      </p>
      <Problem error={error} />
      {data === undefined && isLoading && <Empty>Loading …</Empty>}
      {data !== undefined && data.items.length > 0 && <Jobs items={data.items} />}
      {data?.items.length === 0 && (
        <Empty>
          {data.cursor === undefined ? 'No such jobs are stored.' : 'They are further down the run.'}
        </Empty>
      )}
      <div class="actions end">
        {cursor !== '' && <Link to={withQuery(path, { step: node.id })}>First page</Link>}
        {data?.cursor !== undefined && (
          <Link class="button" to={withQuery(path, { step: node.id, members: data.cursor })}>
            {data.items.length === 0 ? 'Search further' : 'Next page'}
          </Link>
        )}
      </div>
    </>
  );
}

/** A node for jobs of several tasks is labelled with all of them, and has the name of the first. */
const isOfSeveralTasks = ({ label, task }: Node) => label !== task && label.split(', ').includes(task);
