/** Failed jobs by error: how many, since when, and a retry of all with one error. */
import { number } from '../format.js';
import { useLive } from '../live.js';
import { BulkAction } from '../parts/bulk-action.js';
import { Problem, Section, Time } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import { Link, withQuery } from '../router.js';
import type { ErrorGroups } from '../types.js';

interface ErrorGroupListProps {
  readonly filter: Readonly<Record<'task' | 'error' | 'queue' | 'group', string>>;
  readonly onDone: () => void;
}

export function ErrorGroupList({ filter, onDone }: ErrorGroupListProps) {
  const { data, error, reload } = useLive<ErrorGroups>(withQuery('/error-groups', filter));
  const { group: _, ...others } = filter;
  const used = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== ''));
  const changed = () => {
    reload();
    onDone();
  };
  if (data === undefined || data.groups.length === 0) return <Problem error={error} />;
  return (
    <Section
      title="Errors"
      aside={filter.group !== '' && <Link to={withQuery('/failed', others)}>All errors</Link>}
    >
      <Table
        label="Errors"
        rows={data.groups}
        keyOf={({ id }) => id}
        columns={columnsOf({ filter, used, changed })}
        empty="No errors."
      />
      {data.cursor !== undefined && (
        <p class="dim">Only the latest {number(data.read)} failed jobs are grouped.</p>
      )}
    </Section>
  );
}

type Group = ErrorGroups['groups'][number];

interface GroupContext {
  readonly filter: Readonly<Record<string, string>>;
  /** The filter without the group and without empty values. */
  readonly used: object;
  readonly changed: () => void;
}

const columnsOf = ({ filter, used, changed }: GroupContext): readonly Column<Group>[] => [
  {
    title: 'Error',
    kind: 'main',
    cell: ({ id, name, code, message, frame, tasks }) => (
      <>
        <Link to={withQuery('/failed', { ...filter, group: id })} title="Show these jobs only">
          {name}
        </Link>
        {code !== undefined && code !== name && <code> {code}</code>} <span class="reason">{message}</span>
        <div class="dim sub">
          {frame !== undefined && <code>{frame}</code>} {tasks.join(', ')}
        </div>
      </>
    ),
  },
  { title: 'Jobs', kind: 'number', cell: ({ count }) => number(count) },
  { title: 'First', cell: ({ firstAt }) => <Time at={firstAt} /> },
  { title: 'Last', cell: ({ lastAt }) => <Time at={lastAt} /> },
  {
    title: '',
    kind: 'actions',
    cell: ({ id }) => (
      <BulkAction
        action="dead-letters.replay"
        label="Retry these"
        filter={{ ...used, group: id }}
        onDone={changed}
      />
    ),
  },
];
