/** Workflows that wait for a signal, with a form that sends it. */
import { useState } from 'preact/hooks';
import { useLive } from '../live.js';
import { Empty, Problem, Tags, Time, Title } from '../parts/parts.js';
import { SendDialog } from '../parts/schema-form.js';
import { Link, usePlace, withQuery } from '../router.js';
import type { Found, Wait } from '../types.js';

export function Signals() {
  const { query } = usePlace();
  const cursor = query.get('cursor') ?? '';
  const { data, error, reload } = useLive<Found<Wait>>(withQuery('/signals', { cursor }));
  const [sending, setSending] = useState<Wait>();
  return (
    <>
      <Title title="Signals" />
      <Problem error={error} />
      {data?.items.length === 0 && <Empty>No workflow waits for a signal.</Empty>}
      {data !== undefined && data.items.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th>Signal</th>
              <th>Key</th>
              <th>Run</th>
              <th>Since</th>
              <th>Until</th>
              <th> </th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((wait) => (
              <tr key={wait.id}>
                <td class="main">
                  {wait.name} <Tags tags={wait.tags} />
                </td>
                <td data-label="Key">
                  <code>{wait.key}</code>
                </td>
                <td data-label="Run">
                  <Link to={withQuery(`/runs/${encodeURIComponent(wait.runId)}`, { step: wait.id })}>
                    {wait.runId}
                  </Link>
                </td>
                <td data-label="Since">
                  <Time at={wait.since} />
                </td>
                <td data-label="Until">
                  {wait.until === undefined ? 'without end' : <Time at={wait.until} />}
                </td>
                <td class="actions">
                  <button type="button" onClick={() => setSending(wait)}>
                    Send
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
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
