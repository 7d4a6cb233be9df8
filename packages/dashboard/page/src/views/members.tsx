/** The jobs of a node of a run's graph that represents many, by pages. */
import { type Live, useLive } from '../live.js';
import { Empty, Problem, State } from '../parts/parts.js';
import { Link, usePlace, withQuery } from '../router.js';
import type { Found, Job, Node } from '../types.js';
import { Jobs } from './list.js';

/** The page of the members of a node that the address names; nothing is read without a node. */
export function useMembers(run: string, node: Node | undefined): Live<Found<Job>> {
  const cursor = usePlace().query.get('members') ?? '';
  const path = `/runs/${encodeURIComponent(run)}/members`;
  const task = node === undefined || isOfSeveralTasks(node) ? undefined : node.task;
  return useLive<Found<Job>>(node && withQuery(path, { node: node.id, task, cursor }));
}

interface MembersProps {
  readonly run: string;
  readonly node: Node;
  readonly page: Live<Found<Job>>;
}

export function Members({ run, node, page: { data, error, isLoading } }: MembersProps) {
  const { query } = usePlace();
  const cursor = query.get('members') ?? '';
  const path = `/runs/${encodeURIComponent(run)}`;
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
        {cursor !== '' && <Link to={withQuery(path, { step: node.id, open: node.id })}>First page</Link>}
        {data?.cursor !== undefined && (
          <Link class="button" to={withQuery(path, { step: node.id, open: node.id, members: data.cursor })}>
            {data.items.length === 0 ? 'Search further' : 'Next page'}
          </Link>
        )}
      </div>
    </>
  );
}

/** A node for jobs of several tasks is labelled with all of them, and has the name of the first. */
const isOfSeveralTasks = ({ label, task }: Node) => label !== task && label.split(', ').includes(task);
