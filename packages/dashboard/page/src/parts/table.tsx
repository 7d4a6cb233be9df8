/** A table of a list: one row for each item. On phones each row is a card, and a value has the title of its column. */
import type { ComponentChildren } from 'preact';
import { Empty } from './parts.js';

export interface Column<Row> {
  /** Empty for a column of buttons. */
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** `main`: the column that names the row; it is first on phones. `wide`: long texts. `actions`: buttons. */
  readonly kind?: 'main' | 'wide' | 'state' | 'number' | 'actions';
}

interface TableProps<Row> {
  /** What the table lists, for readers of the screen. */
  readonly label: string;
  /** Undefined while they are read for the first time. */
  readonly rows: readonly Row[] | undefined;
  readonly keyOf: (row: Row) => string;
  readonly columns: readonly Column<Row>[];
  /** Shown instead of a table without rows. */
  readonly empty: ComponentChildren;
}

export function Table<Row>({ label, rows, keyOf, columns, empty }: TableProps<Row>) {
  if (rows === undefined) return null;
  if (rows.length === 0) return <Empty>{empty}</Empty>;
  return (
    <table class="list" aria-label={label}>
      <thead>
        <tr>
          {columns.map(({ title, kind }) => (
            <th key={title} scope="col" class={classOf(kind)}>
              {title === '' ? <span class="unseen">Actions</span> : title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map(({ title, cell, kind }) => (
              <td key={title} class={classOf(kind)} data-label={LABELLED.has(kind) ? title : undefined}>
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** `state` is the class of the state itself. */
const classOf = (kind: Column<never>['kind']) => (kind === 'state' ? 'short' : kind);

/** The other kinds explain themselves. */
const LABELLED: ReadonlySet<Column<never>['kind']> = new Set([undefined, 'wide', 'number']);
