/** Failed jobs by error: how many, since when, and a retry of all with one error. */
import { number } from '../format.js';
import { useLive } from '../live.js';
import { BulkAction } from '../parts/bulk-action.js';
import { Problem, Section, Time } from '../parts/parts.js';
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
      <table class="list">
        <thead>
          <tr>
            <th>Error</th>
            <th>Jobs</th>
            <th>First</th>
            <th>Last</th>
            <th> </th>
          </tr>
        </thead>
        <tbody>
          {data.groups.map(({ id, name, code, frame, message, count, firstAt, lastAt, tasks }) => (
            <tr key={id}>
              <td class="main">
                <Link to={withQuery('/failed', { ...filter, group: id })} title="Show these jobs only">
                  {name}
                </Link>
                {code !== undefined && code !== name && <code> {code}</code>}{' '}
                <span class="reason">{message}</span>
                <div class="dim sub">
                  {frame !== undefined && <code>{frame}</code>} {tasks.join(', ')}
                </div>
              </td>
              <td data-label="Jobs">{number(count)}</td>
              <td data-label="First">
                <Time at={firstAt} />
              </td>
              <td data-label="Last">
                <Time at={lastAt} />
              </td>
              <td class="actions">
                <BulkAction
                  action="dead-letters.replay"
                  label="Retry these"
                  filter={{ ...used, group: id }}
                  onDone={changed}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {data.cursor !== undefined && (
        <p class="dim">Only the latest {number(data.read)} failed jobs are grouped.</p>
      )}
    </Section>
  );
}
