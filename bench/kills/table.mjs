/** Prints rows under their columns: pairs of a title and what a row has there. */
export function printTable(rows, columns) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  console.log([''.padEnd(width), ...columns.map(([title]) => title)].join('  '));
  for (const row of rows) {
    const cells = columns.map(([title, cell]) => `${row.skipped ? '-' : cell(row)}`.padStart(title.length));
    console.log([row.name.padEnd(width), ...cells].join('  '));
  }
}
