// The table that people read.
const number = (value) => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
};
const spread = ({ low, high }) => `${number(low)}–${number(high)}`;
const ratio = (told) =>
  told === undefined ? '' : `${told.median.toFixed(2)} (${told.low.toFixed(2)}–${told.high.toFixed(2)})`;

function lines(cells, widths) {
  return cells.map((row) =>
    row
      .map((cell, index) => (index < 2 ? cell.padEnd(widths[index]) : cell.padStart(widths[index])))
      .join('  ')
      .trimEnd(),
  );
}

function table(cells) {
  const widths = cells[0].map((_, index) => Math.max(...cells.map((row) => row[index].length)));
  return lines(cells, widths);
}

/** The lines of one row: a line for each part and system, then the facts. */
export function rowLines(name, row, { systems, ratios }) {
  const present = Object.entries(systems).filter(([, { missing }]) => missing === undefined);
  const rounds = present[0]?.[1].rounds ?? 0;
  const told = [`${name}: ${row.title}, per ${row.unit ?? 'process'}, medians of ${rounds} rounds`];
  const parts = Object.keys(systems.umbel?.parts ?? present[0]?.[1].parts ?? {});
  if (parts.length > 0) {
    const head = ['', '', 'size', 'wall µs', '(quartiles)', 'node µs', 'redis µs', 'commands', 'bytes'];
    const cells = [[...head, 'Umbel is faster ×', 'cheaper in CPU ×']];
    for (const part of parts) {
      for (const [system, { size, parts: own }] of present) {
        if (own[part] === undefined) continue;
        const { wall, node, redis, commands, bytes } = own[part];
        const versus = ratios[system]?.[part];
        cells.push([
          part,
          system,
          size.toLocaleString('en'),
          number(wall.median),
          spread(wall),
          number(node.median),
          number(redis.median),
          number(commands.median),
          number(bytes.median),
          ratio(versus?.wall),
          ratio(versus?.cpu),
        ]);
      }
    }
    told.push(...table(cells).map((line) => `  ${line}`));
  }
  const facts = present.flatMap(([system, { facts: own }]) =>
    Object.entries(own).map(([fact, value]) => [
      fact,
      system,
      number(value.median),
      `(${spread(value)})`,
      ratios[system]?.facts?.[fact] ? `Umbel has ${ratio(ratios[system].facts[fact])} ×` : '',
    ]),
  );
  if (facts.length > 0)
    told.push(...table(facts.sort(([a], [b]) => (a < b ? -1 : 1))).map((line) => `  ${line}`));
  for (const [system, { missing }] of Object.entries(systems))
    if (missing !== undefined) told.push(`  ${system}: ${missing}`);
  return told;
}

/** The targets of all rows, and whether they are met. */
export function targetLines(rows) {
  const cells = [['target', 'row', 'to reach', 'reached', 'in CPU time', '']];
  for (const [name, { judged }] of Object.entries(rows)) {
    for (const target of judged ?? []) {
      const { of, fact, against, times, most, perSecond, atMostMs, reached, reachedCpu, met } = target;
      const what = fact ?? of;
      const goal =
        perSecond !== undefined
          ? `≥ ${perSecond.toLocaleString('en')} a second`
          : atMostMs !== undefined
            ? `≤ ${atMostMs} ms`
            : fact !== undefined
              ? `≤ ${most}${against ? ` × ${against}` : ''}`
              : `≥ ${times.toFixed(2)} × ${against}`;
      cells.push([
        what,
        name,
        goal,
        reached === undefined ? '–' : number(reached),
        reachedCpu === undefined ? '' : number(reachedCpu),
        met === undefined ? 'not measured' : met ? 'met' : 'MISSED',
      ]);
    }
  }
  return table(cells);
}

/** One limit of a row that measures how something grows. */
export function limitLine({ what, reached, most, least, unit = '', met }) {
  const limit = most === undefined ? `at least ${least}` : `at most ${most}`;
  return `${met ? 'met   ' : 'MISSED'} ${what}: ${number(reached)} ${unit} (${limit})`;
}
