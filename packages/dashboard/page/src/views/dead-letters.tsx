/** Failed jobs, with filters by task and error, and actions for all that match. */
import { shortId } from '../format.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { BulkAction } from '../parts/bulk-action.js';
import { deadLetterCommands } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Problem, State, Time, Title } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import { Link, navigate, usePlace, withQuery } from '../router.js';
import type { Letter } from '../types.js';
import { ErrorGroupList } from './error-groups.js';

interface Answer {
  readonly letters: readonly Letter[];
  readonly cursor?: string;
}

export function DeadLetters() {
  const { query } = usePlace();
  const filter = {
    task: query.get('task') ?? '',
    error: query.get('error') ?? '',
    queue: query.get('queue') ?? '',
    group: query.get('group') ?? '',
  };
  const cursor = query.get('cursor') ?? '';
  const { data, error, reload } = useLive<Answer>(withQuery('/dead-letters', { ...filter, cursor }));
  const change = (values: object) => navigate(withQuery('/failed', { ...filter, ...values }));
  const mayHaveLetters =
    data !== undefined && (data.letters.length > 0 || data.cursor !== undefined || cursor !== '');
  const used = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== ''));
  return (
    <>
      <Title title="Failed jobs">
        <CopyCommands commands={deadLetterCommands(filter)} />
        {mayHaveLetters && (
          <>
            <BulkAction action="dead-letters.replay" label="Retry all" filter={used} onDone={reload} />
            <BulkAction
              action="dead-letters.discard"
              label="Drop all"
              filter={used}
              onDone={reload}
              isDangerous
            />
          </>
        )}
      </Title>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {(['task', 'error', 'queue'] as const).map((name) => (
          <label key={name}>
            {name === 'error' ? 'Error name or code' : name === 'task' ? 'Task' : 'Queue'}
            <input value={filter[name]} onChange={(event) => change({ [name]: event.currentTarget.value })} />
          </label>
        ))}
      </form>
      <ErrorGroupList filter={filter} onDone={reload} />
      <Problem error={error} />
      <Table
        label="Failed jobs"
        rows={data?.letters}
        keyOf={({ id }) => id}
        columns={columnsOf(reload, change)}
        empty={
          data?.cursor === undefined
            ? 'No failed jobs match.'
            : 'None of the next thousand failed jobs match.'
        }
      />
      <div class="actions end">
        {cursor !== '' && <Link to={withQuery('/failed', filter)}>First page</Link>}
        {data?.cursor !== undefined && (
          <Link class="button" to={withQuery('/failed', { ...filter, cursor: data.cursor })}>
            {data.letters.length === 0 ? 'Search further' : 'Next page'}
          </Link>
        )}
      </div>
    </>
  );
}

/** `change` changes the filter of the page. */
const columnsOf = (reload: () => void, change: (values: object) => void): readonly Column<Letter>[] => [
  { title: 'State', kind: 'state', cell: ({ state }) => <State state={state} /> },
  {
    title: 'Task',
    kind: 'main',
    cell: ({ id, runId, task, queue }) => (
      <>
        <Link
          to={
            runId === undefined
              ? `/jobs/${encodeURIComponent(id)}`
              : withQuery(`/runs/${encodeURIComponent(runId)}`, { step: id })
          }
        >
          {task}
        </Link>
        <div class="dim sub">
          <code>{shortId(id)}</code> in {queue}
        </div>
      </>
    ),
  },
  {
    title: 'Error',
    kind: 'wide',
    cell: ({ error }) => (
      <>
        <button
          type="button"
          class="link"
          title="Show jobs with this error only"
          onClick={() => change({ error: error.name })}
        >
          {error.name}
        </button>{' '}
        <span class="reason">{error.message}</span>
      </>
    ),
  },
  { title: 'Failed', cell: ({ failedAt }) => <Time at={failedAt} /> },
  { title: 'Attempts', kind: 'number', cell: ({ attempts }) => attempts },
  {
    title: '',
    kind: 'actions',
    cell: ({ id, runId }) =>
      runId === undefined ? (
        <Action action="job.replay" label="Retry" body={{ id }} onDone={reload} />
      ) : (
        <Action action="run.resume" label="Resume run" body={{ id: runId }} onDone={reload} />
      ),
  },
];
