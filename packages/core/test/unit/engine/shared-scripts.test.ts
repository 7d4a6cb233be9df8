import { type Command, Redis } from 'ioredis';
import { beforeEach, describe, expect, test } from 'vitest';
import { ReadyChecks } from '../../../src/store/engine/redis/client.js';
import {
  forgetScript,
  noteServer,
  scriptMethods,
  sharedScript,
} from '../../../src/store/engine/redis/shared-scripts.js';

const methodOf = scriptMethods(Redis.Command);
let number = 0;

describe('a script that all connections of a process share', () => {
  let script: ReturnType<typeof sharedScript>;
  let sent: Command[];
  /** An id that no server had before. */
  let server: string;

  beforeEach(() => {
    number += 1;
    script = sharedScript(`return ${number}`, 1);
    server = `server-${number}`;
    sent = [];
  });

  const call = (more: object = {}) => {
    const context = { sendCommand: (command: Command) => sent.push(command) && command.promise, ...more };
    return methodOf(script).call(context as unknown as Redis, 'key', 'argument') as Promise<unknown>;
  };
  const socketOf = (runId: string) => {
    const socket = {};
    noteServer(socket, runId);
    return socket;
  };
  /** Writes the last command; returns whether it contains the text. */
  const sendsText = (socket: object): boolean => {
    const written = String(sent.at(-1)?.toWritable(socket));
    expect(written).toContain('argument');
    const isText = written.includes(script.lua);
    expect(written).toContain(isText ? 'eval\r\n' : `evalsha\r\n$40\r\n${script.sha}`);
    return isText;
  };

  test('is hashed once', () => {
    expect(sharedScript(script.lua, 1)).toBe(script);
    expect(sharedScript(script.lua, 2)).not.toBe(script);
  });

  test('is sent as text once on each connection, and once to each server after its first answer', async () => {
    const [first, second] = [socketOf(server), socketOf(server)];
    const answer = call();
    expect(sendsText(first)).toBe(true);
    void call();
    expect(sendsText(first)).toBe(false);
    void call();
    expect(sendsText(second)).toBe(true); // it may arrive before the first one
    sent[0]?.resolve(Buffer.from('done'));
    expect(await answer).toBe('done');
    void call();
    expect(sendsText(socketOf(server))).toBe(false);
    void call();
    expect(sendsText(socketOf(`${server}-restarted`))).toBe(true);
    void call();
    expect(sendsText({})).toBe(true); // an unknown server
  });

  test('is sent as text in a transaction unless its own connection has sent it', () => {
    const first = socketOf(server);
    void call();
    sendsText(first);
    sent[0]?.resolve('done');
    const second = socketOf(server);
    const inTransaction = () => {
      void call();
      Object.assign(sent.at(-1) as Command, { inTransaction: true });
    };
    inTransaction();
    expect(sendsText(second)).toBe(true);
    inTransaction();
    expect(sendsText(second)).toBe(false);
  });

  test('is not known to a server that only a transaction was sent to', () => {
    void call();
    Object.assign(sent.at(-1) as Command, { inTransaction: true });
    sendsText(socketOf(server));
    sent[0]?.resolve('QUEUED');
    void call();
    expect(sendsText(socketOf(server))).toBe(true);
  });

  test.each([['a client'], ['a pipeline']])(
    'is sent again as text if the server of %s has forgotten it',
    async (kind) => {
      const socket = socketOf(server);
      void call();
      sendsText(socket);
      sent[0]?.resolve('done');
      const again: Command[] = [];
      const redis = { sendCommand: (command: Command) => again.push(command) && command.promise };
      const answer = call(kind === 'a pipeline' ? { isPipeline: true, redis } : {}) as Promise<unknown>;
      const command = sent[1] as Command;
      expect(sendsText(socket)).toBe(false);
      command.reject(new Error('NOSCRIPT No matching script.'));
      await new Promise(setImmediate); // it is sent in a microtask
      const resent = kind === 'a pipeline' ? again[0] : sent[2];
      expect(String(resent?.toWritable(socket))).toContain(script.lua);
      resent?.resolve('again');
      expect(await (kind === 'a pipeline' ? command.promise : answer)).toBe('again');
    },
  );

  test('passes other errors on', async () => {
    const answer = call();
    sent[0]?.reject(new Error('LOADING Redis is loading the dataset in memory'));
    await expect(answer).rejects.toThrow('LOADING');
    expect(sent).toHaveLength(1);
  });

  test('is sent as text after it was forgotten on purpose', () => {
    const socket = socketOf(server);
    void call();
    sendsText(socket);
    sent[0]?.resolve('done');
    forgetScript(socket, script);
    void call();
    expect(sendsText(socket)).toBe(true);
  });
});

test('what a server has answered counts for other connections once it has loaded its data', () => {
  const checks = new ReadyChecks();
  expect(checks.recent()).toBeUndefined();
  checks.note('redis_version:7.0.15\r\nloading:1\r\nrun_id:abc\r\n');
  expect(checks.recent()).toBeUndefined();
  const answer = [
    '# Server',
    'redis_version:7.0.15',
    'server:Dragonfly',
    'run_id:0123abc',
    'os:Linux',
    'maxmemory_policy:noeviction',
    'loading:0',
    '',
  ].join('\r\n');
  checks.note(answer);
  expect(checks.recent()).toEqual({
    versions: 'redis_version:7.0.15\nserver:Dragonfly\nmaxmemory_policy:noeviction',
    runId: '0123abc',
  });
});
