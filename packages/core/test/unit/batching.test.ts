import { createRequire } from 'node:module';
import { describe, expect, test, vi } from 'vitest';
import {
  type BatchingClient,
  CommandBatcher,
} from '../../src/store/engine/redis/batching/command-batcher.js';
import {
  decodeAnswers,
  encodeCalls,
  type ScriptCall,
} from '../../src/store/engine/redis/batching/encode-calls.js';
import {
  batchScript,
  type ScriptText,
  scriptPartsOf,
} from '../../src/store/engine/redis/batching/script-text.js';

interface BullScript {
  readonly name: string;
  readonly content: string;
  readonly keys: number;
}

/** The scripts of the installed BullMQ. */
const installed = new Map(
  Object.values(createRequire(import.meta.url)('bullmq/dist/cjs/scripts') as Record<string, BullScript>).map(
    ({ name, content, keys }) => [name, { lua: content, numberOfKeys: keys }],
  ),
);

const BATCHED = [
  'addDelayedJob',
  'addParentJob',
  'addPrioritizedJob',
  'addStandardJob',
  'moveToActive',
  'moveToDelayed',
  'moveToFinished',
  'moveToWaitingChildren',
  'releaseParentIfNoPendingDependencies',
  'retryJob',
];

const SIMPLE = `-- a comment
local jobId = ARGV[1]
local rcall = redis.call
local function double(n)
  local twice = n * 2
  return twice
end
return double(jobId)`;

describe('the text of a script', () => {
  test.each(BATCHED)('of the installed BullMQ is understood: %s', (name) => {
    const parts = scriptPartsOf(installed.get(name)?.lua ?? '');
    expect(parts).toBeDefined();
    expect(parts?.functions).not.toMatch(/KEYS|ARGV/);
    expect(parts?.body).not.toMatch(/^local (function|\w+ = function)/m);
  });

  test('is split into functions, which are declared once, and the rest', () => {
    expect(scriptPartsOf(SIMPLE)).toEqual({
      flags: '',
      functions: 'local function double(n)\n  local twice = n * 2\n  return twice\nend',
      body: 'local jobId = ARGV[1]\nreturn double(jobId)',
    });
    expect(scriptPartsOf(`#!lua flags=no-writes\n${SIMPLE}`)?.flags).toBe('#!lua flags=no-writes\n');
  });

  test.each([
    ['a function that uses a variable of the script', SIMPLE.replace('n * 2', 'n .. jobId')],
    ['a function that uses an argument', SIMPLE.replace('n * 2', 'n .. ARGV[1]')],
    ['a function that does not end', SIMPLE.replace('\nend', '')],
    ['no `rcall`', SIMPLE.replace('local rcall = redis.call', '')],
    ['a comment within quotes', SIMPLE.replace('n * 2', "n .. '-- no comment'")],
  ])('with another shape is not understood: %s', (_, lua) => {
    expect(scriptPartsOf(lua)).toBeUndefined();
    expect(
      batchScript([
        { command: 'a', lua: SIMPLE },
        { command: 'b', lua },
      ]),
    ).toBeUndefined();
  });

  test('keeps a variable of its own that has the name of a variable of the script', () => {
    const lua = SIMPLE.replace('local twice = n * 2', 'local jobId = n * 2').replace(
      'return twice',
      'return jobId',
    );
    expect(scriptPartsOf(lua)).toBeDefined();
  });

  test('keeps its flags in a batch', () => {
    const lua = batchScript([{ command: 'a', lua: `#!lua flags=allow-cross-slot-keys\n${SIMPLE}` }]);
    expect(lua).toMatch(/^#!lua flags=allow-cross-slot-keys\nlocal commands/);
  });
});

describe('work that the scripts of the installed BullMQ repeat is done once in a batch', () => {
  const adds = ['maxEventsOf', 'unpackedOptions', 'encodedOptions', 'textOf'];
  const claims = ['limitsOf', 'setMarker', 'dueJobsOf', 'unpackedOptions'];
  test.each([
    ['addDelayedJob', adds],
    ['addParentJob', adds],
    ['addPrioritizedJob', [...adds, 'limitsOf', 'setMarker']],
    ['addStandardJob', [...adds, 'limitsOf', 'setMarker']],
    ['moveToActive', claims],
    ['moveToDelayed', [...claims, 'maxEventsOf']],
    ['moveToFinished', [...claims, 'maxEventsOf', 'trimEventsOf']],
    ['releaseParentIfNoPendingDependencies', ['limitsOf', 'setMarker']],
    ['retryJob', ['limitsOf', 'setMarker', 'maxEventsOf']],
  ])('by %s', (name, expected) => {
    const parts = scriptPartsOf(installed.get(name)?.lua ?? '');
    const lua = `${parts?.functions}\n${parts?.body}`;
    for (const name of expected) expect(lua).toContain(`${name}(`);
    const repeated =
      /"HM?GET", \w*[mM]etaKey, "(opts|paused)|"ZADD", \w+, 0, "0"|"XTRIM"|"ZRANGEBYSCORE", delayedKey|opts = cmsgpack|"HINCRBY", \w+, "\w+", 1/;
    expect(lua).not.toMatch(repeated);
  });
});

describe('the arguments of a batch', () => {
  const call = (command: string, ...args: string[]): ScriptCall => ({ command, args, keyCount: 1 });

  test('have once what is the same in all calls of a run', () => {
    const calls = [call('a', 'key', '1', 'x'), call('a', 'key', '2', 'x'), call('b', 'key', '3')];
    expect(encodeCalls(calls, (command) => (command === 'a' ? 1 : 2))).toEqual([
      ...[1, 1, 2, '\x01\x03', '\x02', 'key', 'x', '1', '2'],
      ...[2, 1, 1, '\x01\x02', '', 'key', '3'],
    ]);
  });

  test('compare bytes by content', () => {
    const bytes = (text: string) => Buffer.from(text);
    const calls = [bytes('a'), bytes('a')].map((value) => ({
      command: 'a',
      args: ['key', value],
      keyCount: 1,
    }));
    expect(encodeCalls(calls, () => 1)).toEqual([1, 1, 2, '\x01\x02', '', 'key', bytes('a')]);
    const other = [...calls, { command: 'a', args: ['key', bytes('b')], keyCount: 1 }];
    expect(encodeCalls(other, () => 1)).toEqual([
      ...[1, 1, 3, '\x01', '\x02', 'key'],
      ...[bytes('a'), bytes('a'), bytes('b')],
    ]);
  });
});

describe('the answers of a batch', () => {
  test('have the record of a claimed job as one text', () => {
    const error = new Error('missing');
    expect(
      decodeAnswers([0, 'id', null, error, ['["a","1"]', 'id', 0, 0], ['{}', 'gone', 0, 0], [0, 0, 5, 0]]),
    ).toEqual([
      ...[0, 'id', null, error],
      ...[
        [['a', '1'], 'id', 0, 0],
        [[], 'gone', 0, 0],
        [0, 0, 5, 0],
      ],
    ]);
  });

  test('that cannot be read are errors of their calls', () => {
    const [first, second] = decodeAnswers([['[', 'id', 0, 0], 0]);
    expect(first).toBeInstanceOf(SyntaxError);
    expect(second).toBe(0);
  });
});

describe('calls of a turn', () => {
  const VERSION = '1';

  /** A client that notes the commands it runs, and answers each call with its first argument. */
  function recordingClient(answer: (name: string, args: unknown[]) => unknown = () => 'alone') {
    const commands: { name: string; args: unknown[] }[] = [];
    const scriptsSet: Record<string, ScriptText> = {};
    for (const [name, script] of installed) scriptsSet[`${name}:${VERSION}`] = script;
    const client = {
      scriptsSet,
      defineCommand(name: string, script: ScriptText) {
        scriptsSet[name] = script;
      },
      async runCommand(name: string, args: unknown[]) {
        commands.push({ name, args });
        return answer(name, args);
      },
    };
    return { client: client as unknown as BatchingClient, scriptsSet, commands };
  }

  const callsIn = ({ args }: { args: unknown[] }) => Number(args[3]);
  const answers = (_: string, args: unknown[]) =>
    Array.from({ length: Number(args[3]) }, (_, index) => index);

  test('share a command; a call alone is sent as BullMQ sends it', async () => {
    const { client, commands } = recordingClient((name, args) =>
      name.startsWith('umbel:') ? answers(name, args) : 'alone',
    );
    const batcher = new CommandBatcher(client, VERSION);
    expect(await batcher.call('addStandardJob', ['key', 'x'])).toBe('alone');
    const later = Promise.resolve().then(() => batcher.call('addStandardJob', ['key', 'c']));
    const both = ['a', 'b'].map((id) => batcher.call('addStandardJob', ['key', id]));
    expect(await Promise.all([...both, later])).toEqual([0, 1, 2]);
    expect(commands.map(({ name }) => name)).toEqual([
      `addStandardJob:${VERSION}`,
      'umbel:batch:addStandardJob',
    ]);
  });

  test('that hand out a job are sent as a batch of one, which tells more about the job', async () => {
    const { client, commands } = recordingClient(() => [[['name', 'task'], 'a', 0, 0, ['child', '1'], 1]]);
    const told: unknown[] = [];
    const batcher = new CommandBatcher(client, VERSION);
    await batcher.call('moveToFinished', ['key', 'x'], (...all) => told.push(all));
    expect(commands.map(({ name }) => name)).toEqual(['umbel:batch:moveToFinished']);
    expect(told).toEqual([['a', { childResults: ['child', '1'], isLast: true }]]);
  });

  test('tell nothing about a job of which the store told nothing', async () => {
    const { client } = recordingClient(() => [[['name', 'task'], 'a', 0, 0, null], 0]);
    const told: unknown[] = [];
    const batcher = new CommandBatcher(client, VERSION);
    const call = (id: string) => batcher.call('moveToFinished', ['key', id], (...all) => told.push(all));
    await Promise.all([call('x'), call('y')]);
    expect(told).toEqual([['a', undefined]]);
  });

  test('are bounded by their number, by what they cost the store, and by their size', async () => {
    const { client, commands } = recordingClient(answers);
    const batcher = new CommandBatcher(client, VERSION);
    const sizesOf = async (count: number, command: string, ...args: string[]) => {
      commands.length = 0;
      await Promise.all(
        Array.from({ length: count }, (_, n) => batcher.call(command, ['key', `${n}`, ...args])),
      );
      return commands.map(callsIn);
    };
    expect(await sizesOf(130, 'addStandardJob')).toEqual([44, 44, 42]);
    expect(await sizesOf(40, 'moveToFinished')).toEqual([16, 16, 8]);
    const long = 'x'.repeat(200_000);
    expect(await sizesOf(4, 'addStandardJob', long)).toEqual([2, 2]);
  });

  test('that add more jobs than a command: the second half is sent with the first answer, or a while later', async () => {
    const told: ((value: unknown) => void)[] = [];
    const { client, commands } = recordingClient(() => new Promise((resolve) => told.push(resolve)));
    const batcher = new CommandBatcher(client, VERSION);
    const call = (count: number) =>
      Promise.all(Array.from({ length: count }, (_, n) => batcher.call('addStandardJob', ['key', `${n}`])));
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const answer = (index: number, count: number) => told[index]?.(Array.from({ length: count }, () => 1));

    const first = call(100);
    await turn();
    expect(commands.map(callsIn)).toEqual([50]);
    answer(0, 50);
    await turn();
    expect(commands.map(callsIn)).toEqual([50, 50]);
    // While something is under way, nothing is held.
    const second = call(100);
    await turn();
    await turn();
    expect(commands.map(callsIn)).toEqual([50, 50, 64, 36]);
    for (const [index, count] of [50, 50, 64, 36].entries()) answer(index, count);
    await Promise.all([first, second]);

    const unanswered = call(70);
    await vi.waitFor(() => expect(commands.map(callsIn)).toEqual([50, 50, 64, 36, 35, 35]));
    answer(4, 35);
    answer(5, 35);
    await unanswered;

    // A call that is not shared must not overtake those before it.
    const before = call(70);
    await turn();
    batcher.flush();
    expect(commands.map(callsIn).slice(6)).toEqual([35, 35]);
    answer(6, 35);
    answer(7, 35);
    await before;
  });

  test('that end more jobs than a command does are sent in two halves too', async () => {
    const told: ((value: unknown) => void)[] = [];
    const { client, commands } = recordingClient(() => new Promise((resolve) => told.push(resolve)));
    const batcher = new CommandBatcher(client, VERSION);
    const calls = Array.from({ length: 40 }, (_, n) => batcher.call('moveToFinished', ['key', `${n}`]));
    await new Promise((resolve) => setImmediate(resolve));
    expect(commands.map(callsIn)).toEqual([16, 16]);
    told[0]?.(Array.from({ length: 16 }, () => 1));
    await new Promise((resolve) => setImmediate(resolve));
    expect(commands.map(callsIn)).toEqual([16, 16, 8]);
    for (const [index, count] of [16, 16, 8].entries()) told[index]?.(Array.from({ length: count }, () => 1));
    await Promise.all(calls);
  });

  test('get their own answer or error', async () => {
    const { client } = recordingClient(() => ['a', new Error('missing'), -6]);
    const batcher = new CommandBatcher(client, VERSION);
    const calls = [1, 2, 3].map((n) => batcher.call('moveToFinished', ['key', `${n}`]));
    const [first, second, third] = await Promise.allSettled(calls);
    expect(first).toEqual({ status: 'fulfilled', value: 'a' });
    expect(second).toEqual({ status: 'rejected', reason: new Error('missing') });
    expect(third).toEqual({ status: 'fulfilled', value: -6 });
  });

  test('all get the error of their command', async () => {
    const { client } = recordingClient(() => {
      throw new Error('Connection is closed.');
    });
    const batcher = new CommandBatcher(client, VERSION);
    const calls = await Promise.allSettled(
      [1, 2].map((n) => batcher.call('moveToFinished', ['key', `${n}`])),
    );
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await batcher.runAll([1, 2].map((n) => batcher.toCall('retryJob', ['key', `${n}`])))).toEqual([
      new Error('Connection is closed.'),
      new Error('Connection is closed.'),
    ]);
  });

  test('of several flows share a command; each flow gets its own answers, or the error of the command', async () => {
    const { client, commands } = recordingClient((_, args) => {
      if (args.includes('refused')) throw new Error('Connection is closed.');
      return args.filter((argument) => String(argument).startsWith('job-'));
    });
    const batcher = new CommandBatcher(client, VERSION);
    const flow = (...jobs: string[]) =>
      batcher.runTogether(jobs.map((id) => batcher.toCall('addStandardJob', ['key', id])));
    expect(await Promise.all([flow('job-a', 'job-b'), flow('job-c', 'job-d', 'job-e')])).toEqual([
      ['job-a', 'job-b'],
      ['job-c', 'job-d', 'job-e'],
    ]);
    expect(commands.map(callsIn)).toEqual([5]);
    const refused = await Promise.allSettled([flow('job-f', 'job-g'), flow('refused', 'job-h')]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);

    // No flow is cut: 30 and 30 fit, a third of 30 does not.
    commands.length = 0;
    const many = (name: string) => flow(...Array.from({ length: 30 }, (_, n) => `job-${name}-${n}`));
    const [, , third] = await Promise.all([many('x'), many('y'), many('z')]);
    expect(commands.map(callsIn)).toEqual([60, 30]);
    expect(third).toEqual(Array.from({ length: 30 }, (_, n) => `job-z-${n}`));

    commands.length = 0;
    const pending = many('w');
    batcher.flush(); // as a backend does that closes
    expect(commands.map(callsIn)).toEqual([30]);
    await pending;
  });

  test('are not batched if the text of their script is unknown', () => {
    const { client, scriptsSet } = recordingClient();
    scriptsSet[`retryJob:${VERSION}`] = { lua: 'return 1', numberOfKeys: 1 };
    const batcher = new CommandBatcher(client, VERSION);
    expect(batcher.canBatch('retryJob')).toBe(false);
    expect(batcher.canBatch('moveToFinished')).toBe(true);
    expect(batcher.canBatch('obliterate')).toBe(false);
    expect(batcher.canBatchAll).toBe(true);
    scriptsSet[`addParentJob:${VERSION}`] = { lua: 'return 1', numberOfKeys: 1 };
    expect(new CommandBatcher(client, VERSION).canBatchAll).toBe(false);
  });

  test('use the text of a script that was redefined', async () => {
    const { client, scriptsSet } = recordingClient(answers);
    const batcher = new CommandBatcher(client, VERSION);
    const send = () => Promise.all(['a', 'b'].map((id) => batcher.call('addStandardJob', ['key', id])));
    await send();
    const name = `addStandardJob:${VERSION}`;
    scriptsSet[name] = {
      lua: `#!lua flags=allow-cross-slot-keys\n${scriptsSet[name]?.lua}`,
      numberOfKeys: 9,
    };
    await send();
    expect(scriptsSet['umbel:batch:addStandardJob']?.lua).toMatch(/^#!lua flags/);
  });
});
