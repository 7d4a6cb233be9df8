/** Each invariant holds for a campaign that went well, and tells what is wrong with one that did not. */
import type { SignalAnswer } from '@umbel/core';
import { describe, expect, test } from 'vitest';
import type { HistoryLine, SeenOutcome } from '../src/history.js';
import { judge } from '../src/invariants/index.js';
import type { LedgerEntry } from '../src/ledger.js';
import type { StoredJob } from '../src/stored-state.js';
import {
  type Different,
  end,
  evidence,
  FIRST,
  FIRST_JOB,
  HISTORY,
  LAST,
  LAST_JOB,
  LEDGER,
  line,
  OTHER_WORKER,
  RUN,
  RUN_JOB,
  start,
  WORKER,
} from './support/evidence.js';

/** The invariants that are violated, each once. */
const violated = (different: Different) => [
  ...new Set(judge(evidence(different)).map(({ invariant }) => invariant)),
];

const messages = (different: Different) => judge(evidence(different)).map(({ message }) => message);

const wrong: SeenOutcome = { ok: true, value: 'wrong' };
const failure: SeenOutcome = { ok: false, message: 'node 2 fails', state: 'failed' };
const revokedOutcome: SeenOutcome = { ok: false, message: 'revoked', state: 'revoked' };

const killed = (at: number, pid: number) =>
  line(at, { event: 'fault', fault: 'kill-worker', target: { pid }, since: at - 1 });
const storeAway = (since: number, at: number) =>
  line(at, { event: 'fault', fault: 'kill-redis', target: 'store', since });
const runAgain = [
  ...LEDGER,
  start(FIRST, 1050, { pid: OTHER_WORKER }),
  end(FIRST, 1060, { pid: OTHER_WORKER }),
];

test('a campaign that went well violates nothing', () => {
  expect(judge(evidence())).toEqual([]);
});

describe('I1: one final state', () => {
  test('a workflow without one is lost', () => {
    expect(messages({ workflow: { final: undefined } })).toContain(
      'it was acknowledged, and the store does not tell its final state',
    );
  });

  test('it is final', () => {
    const final = { state: 'waiting-children', outcome: failure };
    expect(messages({ workflow: { final } })).toContain('its state in the end is waiting-children');
  });

  test('it is one that the composition can have', () => {
    const same = {
      final: { state: 'completed', outcome: wrong },
      told: { outcome: wrong, at: 1140, since: 910 },
    };
    expect(violated({ workflow: same })).toEqual(['I1']);
  });

  test('it is what waiters were told', () => {
    expect(violated({ workflow: { told: { outcome: wrong, at: 1140, since: 910 } } })).toEqual(['I1']);
    expect(violated({ workflow: { told: undefined } })).toEqual(['I1']);
  });

  test('it is of one run', () => {
    expect(violated({ workflow: { runs: [RUN, 'run-2'] } })).toEqual(['I1']);
    expect(violated({ ledger: [...LEDGER, start('run-2.0-0', 1200, { node: 1, value: 'p' })] })).toContain(
      'I1',
    );
  });

  test('what nobody acknowledged may be absent', () => {
    expect(judge(evidence({ workflow: { run: undefined, final: undefined }, ledger: [], jobs: [] }))).toEqual(
      [],
    );
  });
});

describe('I2: one result and one successor', () => {
  test('a node does not run in two jobs', () => {
    const second = `${RUN}.1`;
    const ledger = [...LEDGER, start(second, 1150, { node: 2, value: LEDGER[2]?.value })];
    expect(messages({ ledger }).filter((text) => text.includes('jobs too many'))).not.toEqual([]);
  });

  test('the recorded result is that of the handler', () => {
    expect(violated({ jobs: [FIRST_JOB, { ...LAST_JOB, result: 'other' }, RUN_JOB] })).toEqual(['I2']);
  });

  test('nothing completes whose handler never ended', () => {
    expect(violated({ ledger: LEDGER.filter(({ event }) => event === 'start') })).toEqual(['I2']);
  });
});

describe('I3: runs', () => {
  test('every node runs', () => {
    const ledger = LEDGER.filter(({ job }) => job !== LAST);
    expect(violated({ ledger })).toContain('I3');
  });

  test('it does not run again without a fault', () => {
    expect(violated({ ledger: runAgain })).toEqual(['I3']);
  });

  test('it may run again when its worker was killed, or the store', () => {
    expect(violated({ ledger: runAgain, history: [...HISTORY, killed(1040, WORKER)] })).toEqual([]);
    expect(violated({ ledger: runAgain, history: [...HISTORY, storeAway(1030, 1045)] })).toEqual([]);
  });

  test('it may run again when the worker that runs it again stood still, with a claim of its own', () => {
    const history = [...HISTORY, killed(1040, OTHER_WORKER)];
    expect(violated({ ledger: runAgain, history })).toEqual([]);
  });

  test('it may not run again only because the store refused writes', () => {
    const refused = line(1045, {
      event: 'fault',
      fault: 'full-memory',
      target: 'store',
      since: 1030,
      runsAgain: false,
    });
    expect(violated({ ledger: runAgain, history: [...HISTORY, refused] })).toEqual(['I3']);
    expect(violated({ ledger: runAgain, history: [...HISTORY, refused, killed(1040, WORKER)] })).toEqual([]);
  });

  test('the kill of a third worker is no reason', () => {
    expect(violated({ ledger: runAgain, history: [...HISTORY, killed(1040, 102)] })).toEqual(['I3']);
  });

  test('what was not acknowledged has run as a whole, or not at all', () => {
    const workflow = { run: undefined, runs: [], final: undefined, told: undefined };
    const ledger = LEDGER.filter(({ job }) => job !== LAST);
    expect(violated({ workflow, ledger, jobs: [FIRST_JOB] })).toEqual(['I3']);
    expect(violated({ workflow })).toEqual([]);
  });
});

test('I4: a node does not see a value that is not meant for it', () => {
  const [a, b, c, d] = LEDGER;
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('no ledger');
  const ledger = [a, b, { ...c, value: ['p'] }, { ...d, value: ['p'] }];
  expect(violated({ ledger })).toContain('I4');
});

test('I5: a node does not start before what it waits for is committed', () => {
  expect(violated({ jobs: [{ ...FIRST_JOB, finishedAt: 1101 }, LAST_JOB, RUN_JOB] })).toEqual(['I5']);
  const placed = { ...FIRST_JOB, id: `${LAST}~`, finishedAt: 1105, name: 'umbel:collect' };
  expect(violated({ jobs: [FIRST_JOB, LAST_JOB, RUN_JOB, placed] })).toEqual([]);
});

describe('I6: failures', () => {
  const failedJob = { ...LAST_JOB, state: 'failed', result: undefined, failedReason: 'commit refused' };

  test('a job whose handler did not fail has not failed', () => {
    expect(violated({ jobs: [FIRST_JOB, failedJob, RUN_JOB] })).toEqual(['I6']);
  });

  test('a job after one that did not fail has not failed', () => {
    const failure = { task: 'node', jobId: FIRST };
    const after = { ...failedJob, data: { ...failedJob.data, failure } };
    expect(violated({ jobs: [FIRST_JOB, after, RUN_JOB] })).toEqual(['I6']);
  });

  test('a job whose handler failed may have', () => {
    const ledger = [...LEDGER.slice(0, 3), end(LAST, 1110, { how: 'failed' })];
    const jobs = [FIRST_JOB, failedJob, RUN_JOB];
    expect(violated({ ledger, jobs })).toEqual([]);
  });

  test('poison fails after eleven starts at most', () => {
    const starts = Array.from({ length: 11 }, (_, n) => n + 1).map((at) =>
      start(RUN, at, { node: 0, value: 'exit' }),
    );
    const history = [...HISTORY, ...[2, 3, 4].map((at) => killed(at, WORKER))];
    const told = { outcome: failure, at: 1140, since: 910 };
    const poisoned = { poison: 'exit' as const, final: { state: 'failed', outcome: failure }, told };
    const jobs = [RUN_JOB];
    expect(violated({ workflow: poisoned, ledger: starts, jobs, history })).toEqual([]);
    const often = [...starts, start(RUN, 12, { node: 0, value: 'exit' })];
    expect(violated({ workflow: poisoned, ledger: often, jobs, history })).toEqual(['I6']);
    const completed = {
      ...poisoned,
      final: { state: 'completed', outcome: wrong },
      told: { outcome: wrong, at: 1140, since: 910 },
    };
    expect(violated({ workflow: completed, ledger: starts, jobs, history })).toEqual(['I6']);
  });
});

describe('I7: nothing is left', () => {
  test.each([
    ['a job that waits for ever', { jobs: [FIRST_JOB, LAST_JOB, { ...RUN_JOB, state: 'waiting-children' }] }],
    ['an active job without a lock', { jobs: [FIRST_JOB, LAST_JOB, { ...RUN_JOB, state: 'active' }] }],
    ['a job in no set', { jobs: [FIRST_JOB, LAST_JOB, { ...RUN_JOB, state: undefined }] }],
    ['a lock', { locks: [`umbel:${RUN}`] }],
    ['a stray key', { strayKeys: ['default:gone:processed'] }],
  ])('%s', (_, different) => {
    expect(violated(different)).toEqual(['I7']);
  });

  test('a result that outlives its time to live', () => {
    expect(violated({ isEmptyInTheEnd: true })).toEqual(['I7']);
    expect(violated({ isEmptyInTheEnd: true, jobs: [] })).toEqual([]);
  });
});

describe('I8: a revoke holds', () => {
  const revoked = {
    final: { state: 'revoked', outcome: revokedOutcome },
    told: { outcome: revokedOutcome, at: 1140, since: 910 },
  };
  const jobs = [{ ...FIRST_JOB, finishedAt: 20 }, RUN_JOB];
  const early = [start(FIRST, 10), end(FIRST, 15)];

  test('nothing starts a second after it', () => {
    const workflow = { ...revoked, revokes: [{ at: 90, answer: true }] };
    expect(violated({ workflow, ledger: [...early, start(LAST, 1091)], jobs })).toEqual(['I8']);
    expect(violated({ workflow, ledger: [...early, start(LAST, 1089)], jobs })).toEqual([]);
  });

  test('what is revoked was revoked by somebody', () => {
    expect(violated({ workflow: { ...revoked, revokes: [] }, ledger: early, jobs })).toContain('I8');
    const refused = { ...revoked, revokes: [{ at: 90, answer: false }] };
    expect(violated({ workflow: refused, ledger: early, jobs })).toContain('I8');
  });

  test('a revoked workflow that completes has a result that its composition gives', () => {
    const workflow = {
      revokes: [{ at: 2000, answer: true }],
      final: { state: 'completed', outcome: wrong },
      told: { outcome: wrong, at: 1140, since: 910 },
    };
    expect(violated({ workflow })).toEqual(['I1']);
  });
});

describe('I9: waiters', () => {
  const told = (at: number, since = 910) => {
    const { outcome } = evidence().workflows[0]?.told ?? {};
    if (outcome === undefined) throw new Error('nobody was told');
    return { told: { outcome, at, since } };
  };

  test('are told in time', () => {
    expect(violated({ workflow: told(1130 + 7001) })).toEqual(['I9']);
    expect(violated({ workflow: told(1130 + 7000) })).toEqual([]);
    expect(violated({ workflow: told(1130 + 7001, 1500) })).toEqual([]);
  });

  test('are given the time for which the store was away', () => {
    const history = [...HISTORY, storeAway(1200, 4200)];
    expect(violated({ workflow: told(1130 + 7001), history })).toEqual([]);
  });
});

describe('I10: recovery', () => {
  test('everything is done in time after the last fault', () => {
    const history = [...HISTORY.slice(0, -1), line(1200 + 36_001, { event: 'quiet' })];
    expect(violated({ history })).toEqual(['I10']);
  });

  test('everything is done at all', () => {
    expect(violated({ history: HISTORY.slice(0, -1) })).toEqual(['I10']);
    expect(violated({ history: HISTORY.slice(0, -2) })).toEqual(['I10']);
  });
});

describe('I11: attempts', () => {
  const second = [start(LAST, 1150, { attempt: 2 }), end(LAST, 1160, { attempt: 2 })];

  test('a second attempt follows a failure of the first', () => {
    const first = [...LEDGER.slice(0, 3), end(LAST, 1110, { how: 'asked' })];
    expect(violated({ ledger: [...first, ...second] })).toEqual([]);
  });

  test('a second attempt after a success is one that the user did not grant', () => {
    expect(violated({ ledger: [...LEDGER, ...second] })).toEqual(['I11']);
  });
});

test('sendings: at most one in a thousand is refused', () => {
  const rejected = line(905, { event: 'rejected', workflow: 0, error: 'READONLY' });
  expect(violated({ history: [...HISTORY, rejected] })).toEqual(['sendings']);
  expect(violated({ history: [...HISTORY, rejected], mayReject: true })).toEqual([]);
  expect(violated({ history: [...HISTORY, rejected, storeAway(900, 1900)] })).toEqual(['sendings']);
  expect(violated({ history: [...HISTORY, rejected, storeAway(900, 12_000)] })).toEqual([]);
});

describe('deployments: a worker that is told to end', () => {
  const deployed = (end: number | NodeJS.Signals, tookMs = 100) =>
    line(1000 + tookMs, { event: 'deployed', pid: WORKER, version: 2, since: 1000, end });

  test('ends with code 0, soon', () => {
    expect(violated({ history: [...HISTORY, deployed(0)] })).toEqual([]);
    expect(violated({ history: [...HISTORY, deployed(1)] })).toEqual(['deployments']);
    expect(violated({ history: [...HISTORY, deployed('SIGTERM')] })).toEqual(['deployments']);
    expect(violated({ history: [...HISTORY, deployed(0, 15_001)] })).toEqual(['deployments']);
  });

  test('may be killed by something else meanwhile', () => {
    expect(violated({ history: [...HISTORY, deployed('SIGKILL', 15_001)] })).toEqual([]);
  });
});

describe('appointments: a call with a countdown', () => {
  const outcome: SeenOutcome = { ok: true, value: 0 };
  const called = (startedAt: number, state = 'completed') => ({
    ledger: [start(RUN, startedAt, { node: 0, value: 'appointed' })],
    jobs: [RUN_JOB],
    workflow: {
      appointment: { countdownMs: 5000, submittedAt: 900, acknowledgedAt: 910 },
      final: { state, outcome: state === 'completed' ? outcome : failure },
      told: { outcome: state === 'completed' ? outcome : failure, at: 1140, since: 910 },
    },
  });

  test('starts when it is due', () => {
    expect(violated(called(5900))).toEqual([]);
    expect(violated(called(5649))).toEqual(['appointments']);
    expect(violated(called(5910 + 36_000))).toEqual([]);
    expect(violated(called(5910 + 36_001))).toEqual(['appointments']);
  });

  test('does not expire', () => {
    expect(violated(called(5900, 'expired'))).toEqual(['appointments']);
  });
});

describe('occurrences of schedules', () => {
  const schedules = { count: 1, from: 1500, to: 3500 };
  const beat = (job: string, second: number, at = second * 1000) =>
    start(job, at, { workflow: -1, node: 0, value: `beat-0 1970-01-01T00:00:0${second}.000Z` });
  const sent = [beat('a', 2), beat('b', 3), beat('c', 4)];

  test('are sent in each second', () => {
    expect(violated({ schedules, ledger: [...LEDGER, ...sent] })).toEqual([]);
    expect(messages({ schedules, ledger: [...LEDGER, ...sent.slice(1)] })).toEqual([
      'beat-0 1970-01-01T00:00:02.000Z was never sent',
    ]);
  });

  test('are sent once', () => {
    const ledger = [...LEDGER, ...sent, beat('d', 2, 2001)];
    expect(messages({ schedules, ledger })).toEqual([
      'beat-0 1970-01-01T00:00:02.000Z was sent as 2 jobs: a, d',
    ]);
  });
});

describe('limits of a queue', () => {
  const limits = { perSecond: 2, concurrency: 2 };
  const limited = (job: string, at: number, more: Partial<LedgerEntry> = {}) =>
    start(job, at, { workflow: -1, node: 0, value: 'limited', ...more });
  const ended = (job: string, at: number): LedgerEntry => ({
    ...limited(job, at),
    event: 'end',
    how: 'gave',
  });
  const inQueue = (id: string, startedAt: number) => ({ ...RUN_JOB, id, queue: 'limited', startedAt });

  test('no more run at once', () => {
    const ledger = [
      ...LEDGER,
      limited('z', 2),
      ended('z', 2),
      limited('a', 1),
      limited('b', 2),
      ended('a', 3),
      limited('c', 3),
      ended('b', 4),
    ];
    expect(violated({ limits, ledger })).toEqual([]);
    expect(messages({ limits, ledger: [...ledger, limited('d', 3)] })).toEqual([
      '3 jobs of the limited queue ran at once, and not 2',
    ]);
  });

  test('those of a process that has ended run no more', () => {
    const ledger = [...LEDGER, limited('a', 1), limited('b', 2), limited('c', 4, { pid: OTHER_WORKER })];
    expect(violated({ limits, ledger })).toEqual(['limits']);
    const history = [...HISTORY, line(3, { event: 'worker-ended', pid: WORKER })];
    expect(violated({ limits, ledger, history })).toEqual([]);
  });

  test('no more start in a time than in the seconds of the store that it touches', () => {
    const jobs = [inQueue('a', 1000), inQueue('b', 1001), inQueue('c', 1700), inQueue('d', 1701)];
    const whole = [FIRST_JOB, LAST_JOB, RUN_JOB, ...jobs];
    expect(violated({ limits, jobs: whole })).toEqual([]);
    expect(messages({ limits, jobs: [...whole, inQueue('e', 1702)] })).toEqual([
      '5 jobs of the limited queue started in 800 ms, and not 4',
    ]);
  });
});

describe('I12: one winner for each wait', () => {
  const TICKET = `${RUN}.0-0`;
  const WAIT = `${RUN}.0-1`;
  const sent = (by: string, answer: SignalAnswer) =>
    line(1050, { event: 'signalled', key: TICKET, by, answer });
  const ticket = { ...FIRST_JOB, parent: { queue: 'umbel', id: WAIT } };
  const wait = { ...RUN_JOB, id: WAIT, name: 'umbel:wait' };
  const took = (by: string) => ({ ...wait, result: { signalBy: by, signalKey: TICKET } });
  const late = { ...wait, result: 'late' };
  const stored = (job: StoredJob) => [ticket, job, LAST_JOB, RUN_JOB];
  const found = (job: StoredJob, ...sendings: HistoryLine[]) =>
    judge(evidence({ jobs: stored(job), history: [...HISTORY, ...sendings] }))
      .filter(({ invariant }) => invariant === 'I12')
      .map(({ message }) => message.replace(/, answers .*/, ''));

  test('a wait that took the accepted signal, and one whose time was over, are right', () => {
    expect(found(took('a'), sent('a', 'accepted'), sent('b', 'duplicate'))).toEqual([]);
    expect(found(took('a'), sent('b', 'duplicate'))).toEqual([]); // the answer to a was lost
    expect(found(late, sent('a', 'tooLate'), sent('b', 'tooLate'))).toEqual([]);
  });

  test('two signals are not accepted', () => {
    const twice = [sent('a', 'accepted'), sent('b', 'accepted')];
    expect(found(took('a'), ...twice)).toEqual([`wait ${TICKET}: several signals were accepted`]);
  });

  test('the payload is that of the accepted signal', () => {
    expect(found(took('b'), sent('a', 'accepted'))).toEqual([
      `wait ${TICKET}: it took the signal of b, not that of a`,
    ]);
    expect(found(took('b'), sent('b', 'tooLate'))).toEqual([
      `wait ${TICKET}: it took the signal of b, which was too late`,
    ]);
  });

  test('a wait whose time was over has accepted nothing', () => {
    expect(found(late, sent('a', 'accepted'))).toEqual([
      `wait ${TICKET}: it ended by its time, and the signal of a is accepted`,
    ]);
    expect(found(late, sent('a', 'duplicate'))).toEqual([
      `wait ${TICKET}: it ended by its time, and the signal of a is duplicate`,
    ]);
  });

  test('an early signal is noted by the handler that sent it', () => {
    const early = { ...start(TICKET, 1005), event: 'signalled', key: TICKET, by: 'early' } as const;
    const ledger = [...LEDGER, { ...early, answer: 'accepted' } as const];
    const judged = judge(evidence({ jobs: stored(took('a')), ledger })).map(({ message }) => message);
    expect(judged.join()).toContain(`wait ${TICKET}: it took the signal of a, not that of early`);
  });

  test('no wait is open in the end', () => {
    const waiting = { key: TICKET, state: 'waiting', expires: false };
    expect(messages({ signals: [waiting] })).toEqual([
      `the record of wait ${TICKET} is waiting and has no time to live`,
    ]);
    expect(messages({ signals: [{ ...waiting, state: 'ended', expires: true }] })).toEqual([]);
  });
});

describe('I13: turns of a loop', () => {
  const turn = (loop: string, number: number, at: number) => [
    start(`${loop}@${number}`, at),
    end(`${loop}@${number}`, at + 5),
  ];
  const found = (...entries: LedgerEntry[]) =>
    judge(evidence({ ledger: entries.toSorted((a, b) => a.at - b.at) }))
      .filter(({ invariant }) => invariant === 'I13')
      .map(({ message }) => message);

  test('start after the one before, again after a fault as well', () => {
    const inOrder = [...turn('r.0', 1, 10), ...turn('r.0', 2, 20), ...turn('r.0', 1, 30)];
    expect(found(...inOrder, ...turn('r.1', 1, 0), ...turn('r.1', 2, 5))).toEqual([]);
  });

  test('do not overtake each other', () => {
    expect(found(...turn('r.0', 1, 10), ...turn('r.0', 2, 12))).toEqual([
      'turn 2 of loop r.0 started at 12, and turn 1 ended at 15',
    ]);
    expect(found(start('r.0@1-0', 1), ...turn('r.0', 2, 12))).toEqual([
      'turn 2 of loop r.0 started at 12, and turn 1 never ended',
    ]);
  });

  test('of a loop in a loop are those of its turn', () => {
    const inner = [...turn('r.0@1', 1, 10), ...turn('r.0@1', 2, 20), ...turn('r.0@2', 1, 30)];
    expect(found(...inner)).toEqual([]);
    expect(found(...inner, ...turn('r.0@2', 2, 31))).toEqual([
      'turn 2 of loop r.0@2 started at 31, and turn 1 ended at 35',
    ]);
  });
});
