/** Failed jobs, with filters by task and error, and actions for all that match. */
import { shortId } from '../format.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { BulkAction } from '../parts/bulk-action.js';
import { Empty, Problem, State, Time, Title } from '../parts/parts.js';
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
  const used = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== ''));
  return (
    <>
      <Title title="Failed jobs">
        <BulkAction action="dead-letters.replay" label="Retry all" filter={used} onDone={reload} />
        <BulkAction
          action="dead-letters.discard"
          label="Drop all"
          filter={used}
          onDone={reload}
          isDangerous
        />
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
      {data?.letters.length === 0 && (
        <Empty>
          {data.cursor === undefined
            ? 'No failed jobs match.'
            : 'None of the next thousand failed jobs match.'}
        </Empty>
      )}
      {data !== undefined && data.letters.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th>State</th>
              <th>Task</th>
              <th>Error</th>
              <th>Failed</th>
              <th>Attempts</th>
              <th> </th>
            </tr>
          </thead>
          <tbody>
            {data.letters.map((letter) => (
              <tr key={letter.id}>
                <td>
                  <State state={letter.state} />
                </td>
                <td class="main">
                  <Link
                    to={
                      letter.runId === undefined
                        ? `/jobs/${encodeURIComponent(letter.id)}`
                        : withQuery(`/runs/${encodeURIComponent(letter.runId)}`, { step: letter.id })
                    }
                  >
                    {letter.task}
                  </Link>
                  <div class="dim sub">
                    <code>{shortId(letter.id)}</code> in {letter.queue}
                  </div>
                </td>
                <td data-label="Error" class="wide">
                  <button
                    type="button"
                    class="link"
                    title="Show jobs with this error only"
                    onClick={() => change({ error: letter.error.name })}
                  >
                    {letter.error.name}
                  </button>{' '}
                  <span class="reason">{letter.error.message}</span>
                </td>
                <td data-label="Failed">
                  <Time at={letter.failedAt} />
                </td>
                <td data-label="Attempts">{letter.attempts}</td>
                <td class="actions">
                  {letter.runId === undefined ? (
                    <Action action="job.replay" label="Retry" body={{ id: letter.id }} onDone={reload} />
                  ) : (
                    <Action
                      action="run.resume"
                      label="Resume run"
                      body={{ id: letter.runId }}
                      onDone={reload}
                    />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
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
