/** Failed jobs, with filters by task and error, and actions for all that match. */
import { useContext, useState } from 'preact/hooks';
import { act } from '../api.js';
import { plural, shortId } from '../format.js';
import { useLive } from '../live.js';
import { Action, AppContext, Dialog, useSending } from '../parts/action.js';
import { deadLetterCommands } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Problem, State, Time, Title } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import { Link, navigate, usePlace, withQuery } from '../router.js';
import type { Letter } from '../types.js';

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
  };
  const cursor = query.get('cursor') ?? '';
  const { data, error, reload } = useLive<Answer>(withQuery('/dead-letters', { ...filter, cursor }));
  const change = (values: object) => navigate(withQuery('/failed', { ...filter, ...values }));
  const used = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== ''));
  return (
    <>
      <Title title="Failed jobs">
        <CopyCommands commands={deadLetterCommands(filter)} />
        <Bulk action="dead-letters.replay" label="Retry all" filter={used} onDone={reload} />
        <Bulk action="dead-letters.discard" label="Drop all" filter={used} onDone={reload} isDangerous />
      </Title>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {(['task', 'error', 'queue'] as const).map((name) => (
          <label key={name}>
            {name === 'error' ? 'Error name or code' : name === 'task' ? 'Task' : 'Queue'}
            <input value={filter[name]} onChange={(event) => change({ [name]: event.currentTarget.value })} />
          </label>
        ))}
      </form>
      <Problem error={error} />
      <Table
        label="Failed jobs"
        rows={data?.letters}
        keyOf={({ id }) => id}
        columns={columnsOf(reload, change)}
        empty="No failed jobs match."
      />
      <div class="actions end">
        {cursor !== '' && <Link to={withQuery('/failed', filter)}>First page</Link>}
        {data?.cursor !== undefined && (
          <Link class="button" to={withQuery('/failed', { ...filter, cursor: data.cursor })}>
            Next page
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

interface Counts {
  readonly replayed?: number;
  readonly discarded?: number;
  readonly skipped: readonly { readonly id: string; readonly reason: string }[];
  readonly cursor?: string;
}

interface BulkProps {
  readonly action: string;
  readonly label: string;
  readonly filter: object;
  readonly isDangerous?: boolean;
  readonly onDone: () => void;
}

/** Changes all failed jobs that match, after it has shown how many these are. */
function Bulk({ action, label, filter, isDangerous, onDone }: BulkProps) {
  const app = useContext(AppContext);
  const [preview, setPreview] = useState<Counts>();
  const { error, setError, isBusy, run } = useSending();
  if (app?.actions.includes(action) !== true) return null;
  const send = (dryRun: boolean) =>
    run(async () => {
      const counts = await act<Counts>(action, { filter, dryRun });
      setPreview(dryRun ? counts : undefined);
      if (!dryRun) onDone();
    });
  const count = preview?.replayed ?? preview?.discarded ?? 0;
  const close = () => {
    setPreview(undefined);
    setError(undefined);
  };
  return (
    <>
      <button
        type="button"
        class={isDangerous ? 'danger' : ''}
        disabled={isBusy}
        onClick={() => void send(true)}
      >
        {label}
      </button>
      {(preview !== undefined || error !== undefined) && (
        <Dialog title={label} onClose={close}>
          <Problem error={error} />
          {preview !== undefined && (
            <>
              <p>
                {plural(count, 'job')} {isDangerous ? 'will be removed from the store' : 'will run again'}
                {preview.cursor !== undefined && ', then you can continue with the next ones'}.
              </p>
              {preview.skipped.length > 0 && (
                <p class="dim">
                  {plural(preview.skipped.length, 'job')} will be skipped, for instance:{' '}
                  {preview.skipped[0]?.reason}
                </p>
              )}
              <div class="actions end">
                <button type="button" onClick={close}>
                  Cancel
                </button>
                <button
                  type="button"
                  class={isDangerous ? 'danger solid' : 'solid'}
                  disabled={isBusy || count === 0}
                  onClick={() => void send(false)}
                >
                  {label}
                </button>
              </div>
            </>
          )}
        </Dialog>
      )}
    </>
  );
}
