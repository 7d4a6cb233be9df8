import type { IQueueBackend } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { slicesFlows } from '../../../src/store/guards/added.js';
import { stubBackend } from '../../support/stub-backend.js';

type Entries = Parameters<IQueueBackend['addFlow']>[0];

const entry = (jobId: string, waits: boolean) => ({
  jobId,
  parentKeyOpts: waits ? { addToWaitingChildren: true } : {},
});

/** A store that keeps what each transaction held, and answers with the id in capitals. */
function store() {
  const transactions: string[][] = [];
  const backend = stubBackend({
    addFlow: async (entries: Entries) => {
      transactions.push(entries.map(({ jobId }) => jobId));
      return entries.map(({ jobId }): [null, string] => [null, jobId.toUpperCase()]);
    },
  });
  slicesFlows(backend);
  return { transactions, add: (entries: unknown[]) => backend.addFlow(entries as Entries) };
}

const chainOf = (length: number) =>
  Array.from({ length }, (_, index) => entry(`step-${index}`, index < length - 1));

describe('the jobs of a flow', () => {
  test('are stored at once, as long as not many wait for others', async () => {
    const { transactions, add } = store();
    await add([entry('root', true), ...Array.from({ length: 300 }, (_, n) => entry(`leaf-${n}`, false))]);
    await add(chainOf(51));
    expect(transactions.map((ids) => ids.length)).toEqual([301, 51]);
  });

  test('are stored in slices, those that start at last', async () => {
    const { transactions, add } = store();
    const entries = chainOf(173);
    await add(entries);
    expect(transactions.map((ids) => ids.length)).toEqual([50, 50, 50, 23]);
    expect(transactions.flat()).toEqual(entries.map(({ jobId }) => jobId));
  });

  test('that start stand in the last slice, wherever they are in the tree', async () => {
    const { transactions, add } = store();
    const entries = chainOf(120).flatMap((step, n) => [step, entry(`leaf-${n}`, false)]);
    const answers = await add(entries);
    expect(
      transactions
        .slice(0, -1)
        .flat()
        .some((id) => id.startsWith('leaf')),
    ).toBe(false);
    expect(transactions.at(-1)?.filter((id) => id.startsWith('leaf'))).toHaveLength(120);
    expect(answers).toEqual(entries.map(({ jobId }) => [null, jobId.toUpperCase()]));
  });

  test('are an error when a slice cannot be stored', async () => {
    const backend = stubBackend({ addFlow: async () => Promise.reject(new Error('full')) });
    slicesFlows(backend);
    await expect(backend.addFlow(chainOf(100) as unknown as Entries)).rejects.toThrow('full');
  });
});
