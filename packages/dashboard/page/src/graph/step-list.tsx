/** Lists the steps of a run that has too many different ones to draw. */
import { useState } from 'preact/hooks';
import { number } from '../format.js';
import { Empty, State } from '../parts/parts.js';
import { type Column, Table } from '../parts/table.js';
import type { Graph, Node } from '../types.js';
import { detailOf } from './node.js';

const PAGE_SIZE = 100;

interface StepListProps {
  readonly graph: Graph;
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
}

export function StepList({ graph: { nodes }, chosen, onChoose }: StepListProps) {
  const [state, setState] = useState('');
  const [text, setText] = useState('');
  const [page, setPage] = useState(0);
  const states = [...new Set(nodes.map((node) => node.state))].sort();
  const found = nodes.filter(
    (node) => (state === '' || node.state === state) && node.label.toLowerCase().includes(text.toLowerCase()),
  );
  const first = Math.min(page, Math.max(0, Math.ceil(found.length / PAGE_SIZE) - 1)) * PAGE_SIZE;
  const columns: readonly Column<Node>[] = [
    { title: 'State', kind: 'state', cell: (node) => <State state={node.state} /> },
    {
      title: 'Step',
      kind: 'main',
      cell: (node) => (
        <button
          type="button"
          class="link"
          aria-pressed={node.id === chosen}
          disabled={node.state === 'pending'}
          onClick={() => onChoose(node.id)}
        >
          {node.label}
        </button>
      ),
    },
    { title: 'Details', kind: 'wide', cell: detailOf },
  ];
  return (
    <div class="steps">
      <p class="dim">
        {`This run has ${number(nodes.length)} different steps: too many to draw. They are listed instead.`}
      </p>
      <form class="actions" onSubmit={(event) => event.preventDefault()}>
        <label>
          Name{' '}
          <input
            type="search"
            value={text}
            onInput={(event) => {
              setText(event.currentTarget.value);
              setPage(0);
            }}
          />
        </label>
        <label>
          State{' '}
          <select
            value={state}
            onChange={(event) => {
              setState(event.currentTarget.value);
              setPage(0);
            }}
          >
            <option value="">all</option>
            {states.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
      </form>
      {found.length === 0 ? (
        <Empty>No steps match.</Empty>
      ) : (
        <Table
          label="Steps"
          rows={found.slice(first, first + PAGE_SIZE)}
          keyOf={({ id }) => id}
          columns={columns}
          empty=""
        />
      )}
      <div class="actions end">
        <span class="dim">
          {`${number(found.length === 0 ? 0 : first + 1)}–${number(Math.min(first + PAGE_SIZE, found.length))} of ${number(found.length)}`}
        </span>
        <button type="button" disabled={first === 0} onClick={() => setPage(first / PAGE_SIZE - 1)}>
          Previous
        </button>
        <button
          type="button"
          disabled={first + PAGE_SIZE >= found.length}
          onClick={() => setPage(first / PAGE_SIZE + 1)}
        >
          Next
        </button>
      </div>
    </div>
  );
}
