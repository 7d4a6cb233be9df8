/** The tasks of the app, each with a form that sends it. */
import { useContext, useState } from 'preact/hooks';
import { duration } from '../format.js';
import { useLive } from '../live.js';
import { AppContext } from '../parts/action.js';
import { Empty, Problem, Title } from '../parts/parts.js';
import { SendDialog } from '../parts/schema-form.js';
import { Link, navigate, withQuery } from '../router.js';
import type { TaskFacts } from '../types.js';

export function Tasks() {
  const { data, error } = useLive<{ tasks: readonly TaskFacts[] }>('/tasks');
  const [sending, setSending] = useState<TaskFacts>();
  const mayRun = useContext(AppContext)?.actions.includes('task.send') === true;
  return (
    <>
      <Title title="Tasks" />
      <Problem error={error} />
      {data?.tasks.length === 0 && <Empty>Neither this program nor a worker knows a task.</Empty>}
      {data !== undefined && data.tasks.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th>Task</th>
              <th>Queue</th>
              <th>Attempts</th>
              <th>Time limit</th>
              <th>Workers</th>
              <th> </th>
            </tr>
          </thead>
          <tbody>
            {data.tasks.map((task) => (
              <tr key={task.name}>
                <td class="main">
                  <Link to={withQuery('/jobs', { q: `task:"${task.name}"` })}>{task.name}</Link>
                </td>
                <td data-label="Queue">{task.queue}</td>
                <td data-label="Attempts">{task.attempts ?? '–'}</td>
                <td data-label="Time limit">{task.timeoutMs == null ? '–' : duration(task.timeoutMs)}</td>
                <td data-label="Workers">
                  {task.workers.length === 0 ? <span class="warning">✕ none</span> : task.workers.join(', ')}
                </td>
                <td class="actions">
                  {mayRun && (
                    <button type="button" onClick={() => setSending(task)}>
                      Run
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {sending !== undefined && (
        <SendDialog
          title={`Run ${sending.name}`}
          action="task.send"
          body={{ id: sending.name, queue: sending.queue }}
          field="input"
          schema={sending.input ?? null}
          onClose={() => setSending(undefined)}
          onDone={(answer) => navigate(`/jobs/${encodeURIComponent(String(answer.id))}`)}
        />
      )}
    </>
  );
}
