import type { HistoryLine } from './history.js';
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
}

/** Brings together, for each workflow, what is told of it in different places. */
export function evidenceOf({ workload, ledger, history, ...rest }: Sources): Evidence {
  const entries = groupedBy(ledger, ({ workflow }) => workflow);
  const lines = groupedBy(history, (line) => ('workflow' in line ? line.workflow : undefined));
  const submitted = [...lines.keys()].filter((index) => index !== undefined).sort((a, b) => a - b);
  const workflows = submitted.map((index): JudgedWorkflow => {
    const workflow = workload.at(index);
    const runs = new Set<string>();
    let told: JudgedWorkflow['told'];
    let final: JudgedWorkflow['final'];
    const revokes: { at: number; answer: boolean }[] = [];
    for (const line of lines.get(index) ?? []) {
      if (line.event === 'acknowledged') runs.add(line.run);
      if (line.event === 'outcome') told ??= line;
      if (line.event === 'final') final = line;
      if (line.event === 'revoked') revokes.push({ at: line.at, answer: line.answer });
    }
    return {
      index,
      run: [...runs][0],
      runs: [...runs],
      isFed: workflow.kind === 'random' && isWide(workflow.spec),
      ...(workflow.kind === 'poison' && { poison: workflow.how }),
      worlds: workflow.kind === 'poison' ? () => [] : () => worldsOf(workflow),
      told,
      final,
      revokes,
      entries: entries.get(index) ?? [],
    };
  });
  return { ...rest, workflows, ledger, history: [...history, ...ledger.flatMap(blockOf)] };
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
