/** The tasks of the app, each with a form that sends it. */
import { useContext, useState } from 'preact/hooks';
import { duration } from '../format.js';
import { useLive } from '../live.js';
import { AppContext } from '../parts/action.js';
import { callCommands, TASK_COMMANDS } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Problem, Title } from '../parts/parts.js';
import { SendDialog } from '../parts/schema-form.js';
import { type Column, Table } from '../parts/table.js';
import { Link, navigate, withQuery } from '../router.js';
import type { TaskFacts } from '../types.js';

export function Tasks() {
  const { data, error } = useLive<{ tasks: readonly TaskFacts[] }>('/tasks');
  const [sending, setSending] = useState<TaskFacts>();
  const mayRun = useContext(AppContext)?.actions.includes('task.send') === true;
  return (
    <>
      <Title title="Tasks">
        <CopyCommands commands={TASK_COMMANDS} />
      </Title>
      <Problem error={error} />
      <Table
        label="Tasks"
        rows={data?.tasks}
        keyOf={({ name }) => name}
        columns={columnsOf(setSending, mayRun)}
        empty="Neither this program nor a worker knows a task."
      />
      {sending !== undefined && (
        <SendDialog
          title={`Run ${sending.name}`}
          action="task.send"
          body={{ id: sending.name, queue: sending.queue }}
          field="input"
          schema={sending.input ?? null}
          commands={(input) => callCommands(sending.name, input)}
          recent={`/tasks/${encodeURIComponent(sending.name)}/inputs`}
          onClose={() => setSending(undefined)}
          onDone={(answer) => navigate(`/jobs/${encodeURIComponent(String(answer.id))}`)}
        />
      )}
    </>
  );
}

const columnsOf = (send: (task: TaskFacts) => void, mayRun: boolean): readonly Column<TaskFacts>[] => [
  {
    title: 'Task',
    kind: 'main',
    cell: ({ name }) => <Link to={withQuery('/jobs', { q: `task:"${name}"` })}>{name}</Link>,
  },
  { title: 'Queue', cell: ({ queue }) => queue },
  { title: 'Attempts', kind: 'number', cell: ({ attempts }) => attempts ?? '–' },
  {
    title: 'Time limit',
    kind: 'number',
    cell: ({ timeoutMs }) => (timeoutMs == null ? '–' : duration(timeoutMs)),
  },
  {
    title: 'Workers',
    cell: ({ workers }) => (workers.length === 0 ? <span class="warning">✕ none</span> : workers.join(', ')),
  },
  {
    title: '',
    kind: 'actions',
    cell: (task) => (
      <>
        <Link class="button" to={withQuery('/history', { task: task.name })}>
          History
        </Link>{' '}
        {mayRun && (
          <button type="button" onClick={() => send(task)}>
            Run
          </button>
        )}
      </>
    ),
  },
];
