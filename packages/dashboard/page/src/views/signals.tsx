/** Workflows that wait for a signal, with a form that sends it. */
import { useContext, useState } from 'preact/hooks';
import { shortId } from '../format.js';
import { useLive } from '../live.js';
import { AppContext } from '../parts/action.js';
import { SIGNAL_COMMANDS } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Problem, Tags, Time, Title } from '../parts/parts.js';
import { SendDialog } from '../parts/schema-form.js';
import { type Column, Table } from '../parts/table.js';
import { Link, usePlace, withQuery } from '../router.js';
import type { Found, Wait } from '../types.js';

export function Signals() {
  const { query } = usePlace();
  const cursor = query.get('cursor') ?? '';
  const { data, error, reload } = useLive<Found<Wait>>(withQuery('/signals', { cursor }));
  const [sending, setSending] = useState<Wait>();
  const maySend = useContext(AppContext)?.actions.includes('signal.send') === true;
  return (
    <>
      <Title title="Signals">
        <CopyCommands commands={SIGNAL_COMMANDS} />
      </Title>
      <Problem error={error} />
      <Table
        label="Waits for signals"
        rows={data?.items}
        keyOf={({ id }) => id}
        columns={columnsOf(setSending, maySend)}
        empty="No workflow waits for a signal."
      />
      {data?.cursor !== undefined && (
        <div class="actions end">
          <Link class="button" to={withQuery('/signals', { cursor: data.cursor })}>
            Next page
          </Link>
        </div>
      )}
      {sending !== undefined && (
        <SendDialog
          title={`Send ${sending.name}`}
          action="signal.send"
          body={{ id: sending.name, key: sending.key }}
          field="payload"
          schema={sending.schema as Readonly<Record<string, unknown>> | null}
          onClose={() => setSending(undefined)}
          onDone={reload}
        />
      )}
    </>
  );
}

const columnsOf = (send: (wait: Wait) => void, maySend: boolean): readonly Column<Wait>[] => [
  {
    title: 'Signal',
    kind: 'main',
    cell: ({ name, tags }) => (
      <>
        {name} <Tags tags={tags} />
      </>
    ),
  },
  { title: 'Key', cell: ({ key }) => <code>{key}</code> },
  {
    title: 'Run',
    cell: ({ id, runId }) => (
      <Link to={withQuery(`/runs/${encodeURIComponent(runId)}`, { step: id })}>
        <code>{shortId(runId)}</code>
      </Link>
    ),
  },
  { title: 'Since', cell: ({ since }) => <Time at={since} /> },
  { title: 'Until', cell: ({ until }) => (until === undefined ? 'without end' : <Time at={until} />) },
  {
    title: '',
    kind: 'actions',
    cell: (wait) =>
      maySend && (
        <button type="button" onClick={() => send(wait)}>
          Send
        </button>
      ),
  },
];
