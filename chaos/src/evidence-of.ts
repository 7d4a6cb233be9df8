import type { HistoryLine, SeenOutcome } from './history.js';
import type { Evidence, JudgedWorkflow } from './invariants/evidence.js';
import type { LedgerEntry } from './ledger.js';
import type { StoredState } from './stored-state.js';
import { isWide, type Workload, worldsOf } from './workload.js';

interface Sources {
  readonly workload: Workload;
  readonly history: readonly HistoryLine[];
  readonly ledger: readonly LedgerEntry[];
  readonly store: StoredState;
  readonly lockMs: number;
  readonly mayReject: boolean;
  readonly recoveries: number;
  readonly clockErrorMs: number;
  readonly limits?: Evidence['limits'];
  readonly schedules?: Evidence['schedules'];
  /** Results are gone when the campaign ends: what waiters were told is all that is known of how workflows ended. */
  readonly ttlMs?: number | undefined;
}

/** Brings together, for each workflow, what is told of it in different places. */
export function evidenceOf({ workload, ledger, history, ttlMs, ...rest }: Sources): Evidence {
  const entries = groupedBy(ledger, ({ workflow }) => workflow);
  const lines = groupedBy(history, (line) => ('workflow' in line ? line.workflow : undefined));
  const submitted = [...lines.keys()].filter((index) => index !== undefined).sort((a, b) => a - b);
  const workflows = submitted.map((index): JudgedWorkflow => {
    const workflow = workload.at(index);
    const runs = new Set<string>();
    let told: JudgedWorkflow['told'];
    let final: JudgedWorkflow['final'];
    const revokes: { at: number; answer: boolean }[] = [];
    const submittedAt = lines.get(index)?.find(({ event }) => event === 'submit')?.at ?? 0;
    let acknowledgedAt: number | undefined;
    for (const line of lines.get(index) ?? []) {
      if (line.event === 'acknowledged') acknowledgedAt = line.at;
      if (line.event === 'acknowledged') runs.add(line.run);
      if (line.event === 'outcome') told ??= line;
      if (line.event === 'final') final = line;
      if (line.event === 'revoked') revokes.push({ at: line.at, answer: line.answer });
    }
    if (ttlMs !== undefined && told !== undefined) final = finalOf(told.outcome);
    return {
      index,
      run: [...runs][0],
      runs: [...runs],
      isFed: workflow.kind === 'random' && isWide(workflow.spec),
      ...(workflow.kind === 'poison' && { poison: workflow.how }),
      ...(workflow.kind === 'appointed' && {
        appointment: { countdownMs: workflow.countdownMs, submittedAt, acknowledgedAt },
      }),
      worlds: workflow.kind === 'random' ? () => worldsOf(workflow) : () => [],
      told,
      final,
      revokes,
      entries: entries.get(index) ?? [],
    };
  });
  const isEmptyInTheEnd = ttlMs !== undefined;
  return { ...rest, isEmptyInTheEnd, workflows, ledger, history: [...history, ...ledger.flatMap(blockOf)] };
}

/** The final state that the store would have named, had it kept the workflow. */
function finalOf(outcome: SeenOutcome): JudgedWorkflow['final'] {
  return { state: outcome.ok ? 'completed' : (outcome.state ?? 'failed'), outcome };
}

/** A handler that blocks its process is a fault to all that run in it. */
function blockOf({ event, at, pid, forMs = 0 }: LedgerEntry): HistoryLine[] {
  if (event !== 'blocked') return [];
  return [{ event: 'fault', fault: 'block-loop', target: { pid }, since: at, at: at + forMs }];
}

function groupedBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
