import { describe, expect, inject, test } from 'vitest';
import { type LogLine, runMain } from './support/run-main.js';

const BUSY = 'ERROR the price service is busy';
const UNKNOWN = 'ERROR The handler of task "price.fetch" rejected its job: there is no product "boat"';

describe.each(['memory', 'redis'])('the example on %s', (engine) => {
  const env = () => (engine === 'redis' ? { UMBEL_URL: inject('redisUrl') } : {});

  test('prints a tree for each trace: sender, attempts, spans inside them; retried, chained and sent by a handler', async () => {
    const { traces } = await runMain(env());
    expect(traces.map(({ lines }) => lines)).toEqual([
      [
        'send composition · PRODUCER',
        `├─ process price.fetch · CONSUMER · attempt 1 · ${BUSY}`,
        `│  └─ GET /prices · CLIENT · ${BUSY}`,
        '├─ process price.fetch · CONSUMER · attempt 2',
        '│  └─ GET /prices · CLIENT',
        '└─ process price.addTax · CONSUMER · attempt 1 · ← price.fetch 2',
        '   └─ look up rate · INTERNAL',
      ],
      [
        'send price.fetch · PRODUCER',
        `├─ process price.fetch · CONSUMER · attempt 1 · ${BUSY}`,
        `│  └─ GET /prices · CLIENT · ${BUSY}`,
        `└─ process price.fetch · CONSUMER · attempt 2 · ${UNKNOWN}`,
        `   └─ GET /prices · CLIENT · ${UNKNOWN}`,
      ],
      [
        'send price.refresh · PRODUCER',
        '└─ process price.refresh · CONSUMER · attempt 1',
        '   └─ send price.fetch · PRODUCER',
        `      ├─ process price.fetch · CONSUMER · attempt 1 · ${BUSY}`,
        `      │  └─ GET /prices · CLIENT · ${BUSY}`,
        '      └─ process price.fetch · CONSUMER · attempt 2',
        '         └─ GET /prices · CLIENT',
      ],
      [
        'send composition · PRODUCER',
        '├─ process price.addTax · CONSUMER · attempt 1',
        '│  └─ look up rate · INTERNAL',
        '├─ process price.addTax · CONSUMER · attempt 1',
        '│  └─ look up rate · INTERNAL',
        '└─ process price.total · CONSUMER · attempt 1 · ← price.addTax 1, price.addTax 1',
      ],
    ]);
  });

  test('logs each attempt as JSON lines, under the id of its trace', async () => {
    const run = await runMain(env());
    const { traces } = run;
    const log = run.log.filter(({ jobId }) => jobId !== undefined); // and not what Umbel has to say of the store
    const byTrace = traces.map(({ id }) => log.filter(({ traceId }) => traceId === id));
    expect(byTrace.flat()).toHaveLength(log.length);
    expect(byTrace.map((lines) => inOrderOfJobs(lines).map(inShort))).toEqual([
      [
        'info price.fetch 1: attempt started',
        'warn price.fetch 1: attempt failed',
        'info price.fetch 1: it is tried again',
        'info price.fetch 2: attempt started',
        'info price.fetch 2: price fetched',
        'info price.fetch 2: attempt ended',
        'info price.addTax 1: attempt started',
        'info price.addTax 1: tax added',
        'info price.addTax 1: attempt ended',
      ],
      [
        'info price.fetch 1: attempt started',
        'warn price.fetch 1: attempt failed',
        'info price.fetch 1: it is tried again',
        'info price.fetch 2: attempt started',
        'warn price.fetch 2: attempt failed',
        'error price.fetch 2: the job failed',
      ],
      [
        'info price.refresh 1: attempt started',
        'info price.refresh 1: attempt ended',
        'info price.fetch 1: attempt started',
        'warn price.fetch 1: attempt failed',
        'info price.fetch 1: it is tried again',
        'info price.fetch 2: attempt started',
        'info price.fetch 2: price fetched',
        'info price.fetch 2: attempt ended',
      ],
      [
        'info price.addTax 1: attempt started',
        'info price.addTax 1: tax added',
        'info price.addTax 1: attempt ended',
        'info price.addTax 1: attempt started',
        'info price.addTax 1: tax added',
        'info price.addTax 1: attempt ended',
        'info price.total 1: attempt started',
        'info price.total 1: attempt ended',
      ],
    ]);
    const [ofChain = []] = byTrace;
    expect(new Set(ofChain.map(({ runId }) => runId)).size).toBe(1);
    const [started, failed, retried, , fetched, ended] = ofChain;
    expect(failed).toMatchObject({ jobId: started?.jobId, spanId: started?.spanId });
    expect(failed?.durationMs).toBeGreaterThanOrEqual(4); // the handler takes 5
    expect(failed?.err?.stack).toContain('Error: the price service is busy\n    at ');
    expect(retried?.reason).toBe('the price service is busy');
    expect(fetched).toMatchObject({ jobId: started?.jobId, product: 'lamp', cents: 4900 });
    expect(fetched?.spanId).not.toBe(ended?.spanId); // it was logged in the span inside
  });
});

/** Job by job: a handler's own call may begin before the handler has ended. */
function inOrderOfJobs(lines: readonly LogLine[]): LogLine[] {
  const jobs = [...new Set(lines.map(({ jobId }) => jobId))];
  return lines.toSorted((a, b) => jobs.indexOf(a.jobId) - jobs.indexOf(b.jobId));
}

function inShort({ level, task, attempt, msg }: LogLine): string {
  return `${level} ${task} ${attempt}: ${msg}`;
}
