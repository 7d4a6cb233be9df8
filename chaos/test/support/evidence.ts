/** What a campaign of one workflow leaves behind that has gone well, and what is to be different in it. */
import type { World } from '../../../packages/canvas/test/support/interpreter.js';
import { effectOf } from '../../../packages/canvas/test/support/node-task.js';
import type { HistoryEvent, HistoryLine, SeenOutcome } from '../../src/history.js';
import type { Evidence, JudgedWorkflow } from '../../src/invariants/evidence.js';
import type { LedgerEntry } from '../../src/ledger.js';
import type { StoredJob, StoredState } from '../../src/stored-state.js';

export const RUN = 'run-1';
export const FIRST = `${RUN}.0-0`;
export const LAST = `${RUN}.0`;
export const WORKER = 100;
export const OTHER_WORKER = 101;

const given = (n: number, value: unknown): unknown => {
  const effect = effectOf({ n, does: 'mix' }, value);
  return effect.kind === 'gives' ? effect.value : undefined;
};

/** A chain of two nodes, sent with 'p'. */
const between = given(1, 'p');
const RESULT = given(2, between);
const OUTCOME: SeenOutcome = { ok: true, value: RESULT };

const WORLD: World = {
  end: { kind: 'gives', value: RESULT },
  runs: [
    { n: 1, value: 'p' },
    { n: 2, value: between },
  ],
  skipped: [],
  blocked: [],
  added: [],
};

export const start = (job: string, at: number, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  event: 'start',
  at,
  pid: WORKER,
  job,
  attempt: 1,
  workflow: 0,
  node: job === FIRST ? 1 : 2,
  value: job === FIRST ? 'p' : between,
  ...more,
});

export const end = (job: string, at: number, more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  ...start(job, at, more),
  event: 'end',
  how: more.how ?? 'gave',
});

export const LEDGER: readonly LedgerEntry[] = [
  start(FIRST, 1000),
  end(FIRST, 1010),
  start(LAST, 1100),
  end(LAST, 1110),
];

export const line = (at: number, event: HistoryEvent): HistoryLine => ({ at, ...event });

export const HISTORY: readonly HistoryLine[] = [
  line(900, { event: 'submit', workflow: 0, key: 'workflow 0' }),
  line(910, { event: 'acknowledged', workflow: 0, run: RUN }),
  line(1200, { event: 'faults-ended' }),
  line(1300, { event: 'quiet' }),
];

const stored = (id: string, more: Partial<StoredJob>): StoredJob => ({
  queue: 'default',
  id,
  name: 'node',
  state: 'completed',
  data: { input: { w: 0, n: id === FIRST ? 1 : 2, does: 'mix' } },
  result: undefined,
  failedReason: undefined,
  startedAt: undefined,
  finishedAt: undefined,
  attempts: 1,
  parent: undefined,
  ...more,
});

export const FIRST_JOB = stored(FIRST, {
  result: between,
  finishedAt: 1020,
  parent: { queue: 'default', id: LAST },
});
export const LAST_JOB = stored(LAST, {
  result: RESULT,
  finishedAt: 1120,
  parent: { queue: 'umbel', id: RUN },
});
export const RUN_JOB = stored(RUN, {
  queue: 'umbel',
  name: 'umbel:run',
  data: {},
  result: RESULT,
  finishedAt: 1130,
});

export interface Different extends Partial<Omit<Evidence, 'workflows' | 'store'>> {
  readonly workflow?: Partial<JudgedWorkflow>;
  readonly jobs?: readonly StoredJob[];
  readonly locks?: readonly string[];
  readonly strayKeys?: readonly string[];
  readonly signals?: StoredState['signals'];
}

export function evidence({ workflow, jobs, locks, strayKeys, signals, ...rest }: Different = {}): Evidence {
  const ledger = rest.ledger ?? LEDGER;
  const judged: JudgedWorkflow = {
    index: 0,
    run: RUN,
    runs: [RUN],
    isFed: false,
    worlds: () => [WORLD],
    told: { outcome: OUTCOME, at: 1140, since: 910 },
    final: { state: 'completed', outcome: OUTCOME },
    revokes: [],
    entries: ledger.filter(({ workflow: index }) => index === 0),
    ...workflow,
  };
  return {
    lockMs: 2000,
    mayReject: false,
    recoveries: 1,
    clockErrorMs: 0,
    isEmptyInTheEnd: false,
    history: HISTORY,
    ...rest,
    ledger,
    workflows: [judged],
    store: {
      jobs: jobs ?? [FIRST_JOB, LAST_JOB, RUN_JOB],
      locks: locks ?? [],
      strayKeys: strayKeys ?? [],
      signals: signals ?? [],
    },
  };
}
