import { type IQueueBackend, type Job, WaitingError } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { persistsCommits } from '../../../src/store/guards/commits.js';
import { type Claim, Claims } from '../../../src/store/held-job.js';
import { failing, passing, refusal, type StubCommands, stubBackend } from '../../support/stub-backend.js';

const finished = { result: undefined, finishedOn: 1 };
const job = { id: '1', attemptsStarted: 1, stalledCounter: 0 } as Job;

interface World {
  readonly backend: IQueueBackend;
  readonly claims: Claims;
  readonly waits: number[];
  readonly lost: Claim[];
}

function guarded(commands: StubCommands, isClosing = () => false, commitsMayWait = false): World {
  const backend = stubBackend(commands);
  const claims = new Claims();
  const waits: number[] = [];
  const pause = async (ms: number) => void waits.push(ms);
  const lost: Claim[] = [];
  const onLost = (claim: Claim) => void lost.push(claim);
  persistsCommits(backend, { claims, lockDurationMs: 1000, commitsMayWait, pause, isClosing, onLost });
  return { backend, claims, waits, lost };
}

const complete = (backend: IQueueBackend) => backend.moveToCompleted(job, 'value', false, 'token', false);

describe('a commit that waits for other transactions of the store', () => {
  test('has its lock renewed until it is answered', async () => {
    const renewed: unknown[] = [];
    let answer = (_value: unknown) => {};
    const commands = {
      moveToCompleted: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
      extendLock: async (...args: unknown[]) => {
        renewed.push(args);
        if (renewed.length === 2) answer(finished);
        return 1;
      },
    };
    const { backend } = guarded(commands, () => false, true);
    expect(await complete(backend)).toEqual(finished);
    expect(renewed).toEqual([
      ['1', 'token', 1000],
      ['1', 'token', 1000],
    ]);
  });
});

describe('a commit that the store refuses for the moment', () => {
  test.each([
    'LOADING Redis is loading',
    'READONLY You can’t write against a read only replica',
    'OOM command not allowed',
    'MISCONF Redis is configured to save',
    'BUSY Redis is busy',
    'CLUSTERDOWN The cluster is down',
    'Connection is closed.',
    'Command aborted due to connection close',
    'Too many Cluster redirections. Last error: ReplyError: MOVED 1 127.0.0.1:1',
  ])('is repeated: %s', async (message) => {
    const { command } = failing(
      Array.from({ length: 40 }, () => passing(message)),
      finished,
    );
    const { backend, waits } = guarded({ moveToCompleted: command });
    expect(await complete(backend)).toEqual(finished);
    // Far longer than the lock lasts: the handler has succeeded, and must not be called failed.
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(30_000);
  });

  test('has its lock renewed meanwhile', async () => {
    const renewed: unknown[] = [];
    const { command } = failing([passing(), passing()], finished);
    const { backend } = guarded({
      moveToCompleted: command,
      extendLock: async (...args: unknown[]) => {
        renewed.push(args);
        return 1;
      },
    });
    await complete(backend);
    expect(renewed).toEqual([
      ['1', 'token', 1000],
      ['1', 'token', 1000],
    ]);
  });

  test.each(['moveToFailed', 'moveToDelayed', 'moveToWaitingChildren', 'retryJob'] as const)(
    'is repeated also as %s',
    async (name) => {
      const counted = failing<unknown>([passing()], 'told');
      const { backend } = guarded({ [name]: counted.command });
      const commit = backend[name] as (...args: unknown[]) => Promise<unknown>;
      expect(await commit(...argumentsOf(name))).toBe('told');
      expect(counted.calls).toBe(2);
    },
  );

  test('counts as done if it has arrived although its answer was lost', async () => {
    const { command } = failing([passing('Connection is closed.'), refusal('JobNotInState')], finished);
    const { backend, claims } = guarded({ moveToCompleted: command, ...stored('completed', 1, 0) });
    claims.hold(job, 'token');
    expect(await complete(backend)).toMatchObject({ result: undefined });
  });

  test('counts as done if the client has sent it twice by itself, after a cut', async () => {
    const { command } = failing([refusal('JobLockNotExist')], finished);
    const { backend, claims, lost } = guarded({ moveToCompleted: command, ...stored('completed', 1, 0) });
    claims.hold(job, 'token');
    expect(await complete(backend)).toMatchObject({ result: undefined });
    expect(lost).toEqual([]);
  });

  test('counts as done if its job was started again since, and no sweep had put it back', async () => {
    const { command } = failing([refusal('JobLockMismatch')], true);
    const { backend, claims, lost } = guarded({ moveToWaitingChildren: command, ...stored('active', 2, 0) });
    claims.hold(job, 'token');
    expect(await backend.moveToWaitingChildren('1', 'token')).toBe(true);
    expect(lost).toEqual([]);
  });

  test('counts as done if its job has no record any more', async () => {
    const { command } = failing([refusal('JobNotExist')], finished);
    const { backend, claims } = guarded({ moveToCompleted: command, ...stored('unknown') });
    claims.hold(job, 'token');
    expect(await complete(backend)).toMatchObject({ result: undefined });
  });

  test('leaves the job to the sweep when the worker ends before the store is ready', async () => {
    const { command } = failing(
      Array.from({ length: 10_000 }, () => passing()),
      finished,
    );
    const { backend, waits } = guarded({ moveToCompleted: command, closing: Promise.resolve() }, () => true);
    await expect(complete(backend)).rejects.toBeInstanceOf(WaitingError);
    expect(waits.length).toBeLessThan(100);
  });
});

describe('a commit of a job that is not the worker’s any more', () => {
  test.each(['JobLockMismatch', 'JobNotInState', 'JobNotExist', 'JobLockNotExist'] as const)(
    'is none, and no failure: %s',
    async (code) => {
      const { command } = failing([refusal(code)], finished);
      const { backend } = guarded({ moveToCompleted: command });
      await expect(complete(backend)).rejects.toBeInstanceOf(WaitingError);
    },
  );

  test.each([
    ['a sweep has put it back', 'waiting', 1, 1],
    ['another worker has started it', 'active', 2, 1],
    ['another worker has completed it', 'completed', 2, 1],
    ['its lock has run out, and cannot be taken again', 'active', 1, 0],
  ] as const)('is lost, also after a first try without an answer: %s', async (_, state, starts, stalls) => {
    const { command } = failing([passing('Connection is closed.'), refusal('JobLockNotExist')], finished);
    const { backend, claims, lost } = guarded({ moveToCompleted: command, ...stored(state, starts, stalls) });
    const claim = claims.hold(job, 'token');
    await expect(complete(backend)).rejects.toBeInstanceOf(WaitingError);
    expect(lost).toEqual([claim]);
  });

  test('other refusals reach the worker', async () => {
    const { command } = failing([refusal('JobPendingChildren')], finished);
    const { backend } = guarded({ moveToCompleted: command });
    await expect(complete(backend)).rejects.toMatchObject({ code: -4 });
  });

  test('takes a lock again that ran out, if nobody else has the job', async () => {
    const counted = failing([refusal('JobLockNotExist')], finished);
    const { backend, claims } = guarded(retakable(1, counted.command));
    claims.hold(job, 'token');
    const answer = await complete(backend);
    expect(answer).toEqual(finished);
    expect(counted.calls).toBe(2);
  });

  test('leaves a job alone that was started again meanwhile', async () => {
    const { command } = failing([refusal('JobLockNotExist')], finished);
    const { backend, claims } = guarded({ ...retakable(2, command), ...stored('active', 2, 1) });
    claims.hold(job, 'token');
    await expect(complete(backend)).rejects.toBeInstanceOf(WaitingError);
  });
});

describe('what is read for a job', () => {
  test('is tried for as long as a lock lasts, and no longer', async () => {
    const { command } = failing([passing(), passing()], { a: '1' });
    const { backend } = guarded({ getProcessedChildrenValues: command });
    expect(await backend.getProcessedChildrenValues('1')).toEqual({ a: '1' });
  });

  test('is an error at once if repeating it cannot help', async () => {
    const { command } = failing([new Error('ERR wrong number of arguments')], []);
    const { backend } = guarded({ getDependencyCounts: command });
    await expect(backend.getDependencyCounts('1', [])).rejects.toThrow('ERR wrong');
  });
});

/** A store that lets a lock be set, of a job that was started so often. */
function retakable(starts: number, moveToCompleted: unknown): StubCommands {
  return {
    moveToCompleted,
    takeLock: async (_id: string, _token: string, claimed: number) => claimed === starts,
    replaceData: async () => true,
  };
}

/** What the store holds of the job; without `starts`, nothing. */
function stored(state: string, starts?: number, stalls?: number): StubCommands {
  const record = starts === undefined ? undefined : { attemptsStarted: starts, stalledCounter: stalls };
  return { getJobData: async () => record, getState: async () => state };
}

function argumentsOf(name: string): unknown[] {
  if (name === 'moveToFailed') return [job, 'reason', false, 'token', false];
  if (name === 'moveToDelayed') return ['1', 1, 1, 'token'];
  if (name === 'retryJob') return ['1', false, 'token'];
  return ['1', 'token'];
}
