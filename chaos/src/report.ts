import type { CampaignReport } from './campaign.js';

/** What campaigns have done and found, for people. */
export function tableOf(reports: readonly CampaignReport[]): string {
  const rows = reports.map(({ scenario, workflows, runs, runsAgain, seconds, strikes, violations }) => [
    scenario,
    `${workflows}`,
    `${runs}`,
    `${runsAgain}`,
    `${strikes.find(({ name }) => name === 'kill-worker')?.count ?? 0}`,
    strikes
      .filter(({ name }) => name !== 'kill-worker')
      .map(({ name, count }) => `${count} ${name}`)
      .join(', ') || '–',
    `${seconds} s`,
    `${violations.length}`,
  ]);
  const heads = [
    'scenario',
    'workflows',
    'handler runs',
    'of these again',
    'worker kills',
    'other faults',
    'took',
    'violations',
  ];
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const found = reports.flatMap(({ scenario, seed, folder, violations }) =>
    violations.map(
      ({ invariant, workflow, run, message }) =>
        `${scenario}, seed ${seed}: ${invariant}` +
        `${workflow === undefined ? '' : `, workflow ${workflow}`}${run === undefined ? '' : `, run ${run}`}: ` +
        `${message} (${folder})`,
    ),
  );
  const total = found.length === 0 ? ['0 violations'] : [...found, `${found.length} violations`];
  return [line(heads), ...rows.map(line), '', ...total].join('\n');
}
