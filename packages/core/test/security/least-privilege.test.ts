/** A Redis user that may do what docs/security.md grants, and nothing else, is enough; and so is TLS. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chain, group, map } from '@umbel/canvas';
import { type App, ConnectionError, createApp } from '@umbel/core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { freePort, type RedisServer, startRedis } from '../../../../test/support/redis-server.js';
import { callsByCommand } from '../../../../test/support/redis-use.js';

const soon = { timeout: '50s' } as const;
const isolate = new URL('../integration/isolated/tasks.mjs', import.meta.url);

/** The name of the app whose isolated task the fixture holds. */
const APP = 'isolated';

/** The rule for a user of one app, as the guide gives it. */
function grantedRule(app: string, password: string): string[] {
  const guide = readFileSync(new URL('../../../../docs/security.md', import.meta.url), 'utf8');
  const [, line] = /```text acl\n(user [\s\S]*?)\n```/.exec(guide) ?? [];
  if (line === undefined) throw new Error('docs/security.md holds no rule for a user');
  return line
    .replaceAll(/\\\n\s*/g, '')
    .replaceAll('<app>', app)
    .replaceAll('<password>', password)
    .split(/\s+/)
    .slice(1);
}

/** Does what an app can do, with a store at this address. */
async function doEverything(connection: string | object, errors: string[]): Promise<void> {
  const logger = { info() {}, warn() {}, error: (message: string) => errors.push(message) };
  const queues = { default: {}, limited: { concurrency: 5, rateLimit: '1000/s' } } as const;
  const app = createApp({ name: APP, connection, queues, logger, sendTimeout: '5s' });
  try {
    await useTasks(app);
    await useWorkflows(app);
  } finally {
    await app.close();
  }
}

async function useTasks(app: App): Promise<void> {
  const add = app.task({
    name: 'add',
    input: z.object({ x: z.number(), y: z.number() }),
    run: async ({ x, y }, ctx) => {
      ctx.log.info('adding');
      await ctx.progress({ x });
      return x + y;
    },
  });
  const limited = app.task({ name: 'limited', queue: 'limited', run: async () => 'limited' });
  const failing = { attempts: 0, isBroken: true };
  const fail = app.task({
    name: 'fail',
    retry: { attempts: 2, delay: 5 },
    run: async () => {
      failing.attempts += 1;
      if (failing.isBroken) throw new Error('broken');
      return 'mended';
    },
  });
  const pid = app.task({ name: 'pid', isolate, run: async (): Promise<number> => -1 });
  let hasStarted = () => {};
  const started = new Promise<void>((resolve) => {
    hasStarted = resolve;
  });
  const wait = app.task({
    name: 'wait-long',
    run: (_input, { signal }) =>
      new Promise<null>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        hasStarted();
      }),
  });
  const worker = await app.worker().start();
  const sums = await add.sendMany([
    { x: 1, y: 2 },
    { x: 3, y: 4 },
  ]);
  expect(await Promise.all(sums.map((sum) => sum.get(soon)))).toEqual([3, 7]);
  const options = { countdown: 5, priority: 3, idempotencyKey: 'one', tags: ['red'] };
  const one = await add.applyAsync({ x: 1, y: 1 }, options);
  expect((await add.applyAsync({ x: 1, y: 1 }, options)).id).toBe(one.id);
  expect(await one.get(soon)).toBe(2);
  expect((await one.logs()).length).toBe(1);
  for await (const progress of one.progress()) expect(progress).toEqual({ x: 1 });
  expect(await one.info()).toMatchObject({ task: 'add' });
  const modes = [{ unique: true }, { throttle: { for: '1m' } }, { debounce: { for: 5 } }] as const;
  for (const [y, mode] of modes.entries()) {
    await add.applyAsync({ x: 7, y }, mode);
    const same = await add.applyAsync({ x: 7, y }, mode);
    expect(await same.get(soon)).toBe(7 + y);
  }
  expect(await (await limited.delay()).get(soon)).toBe('limited');
  expect(await (await pid.delay()).get(soon)).not.toBe(process.pid);
  const failed = await fail.delay();
  await expect(failed.get(soon)).rejects.toThrow('broken');
  failing.isBroken = false;
  expect(await app.deadLetters.list({ until: new Date(Date.now() + 60_000) })).toMatchObject([
    { id: failed.id },
  ]);
  expect(await app.deadLetters.get(failed.id)).toMatchObject({ canReplay: true });
  await app.deadLetters.replay(failed.id);
  await vi.waitFor(async () => expect(await failed.get(soon)).toBe('mended'));
  failing.isBroken = true;
  const lost = await fail.delay();
  await expect(lost.get(soon)).rejects.toThrow('broken');
  await app.deadLetters.discard(lost.id);
  const running = await wait.delay();
  await started;
  await running.revoke({ terminate: true });
  await expect(running.get(soon)).rejects.toThrow('revoked');
  const later = await add.applyAsync({ x: 1, y: 1 }, { countdown: '1h', tags: ['blue'] });
  expect(await app.revoke({ tag: 'blue' })).toBe(1);
  await expect(later.get(soon)).rejects.toThrow('revoked');
  await one.forget();
  const queue = app.queue('default');
  await queue.pause();
  expect(await queue.isPaused()).toBe(true);
  await queue.resume();
  await queue.setConcurrency(10);
  await queue.setConcurrency(undefined);
  await queue.setRateLimit('500/s');
  await queue.setRateLimit(undefined);
  expect((await queue.counts()).completed).toBeGreaterThan(0);
  await queue.pause();
  await add.applyAsync({ x: 1, y: 1 }, { countdown: '1h' });
  await add.applyAsync({ x: 1, y: 1 }, { priority: 2 });
  await add.delay({ x: 1, y: 1 });
  expect(await queue.purge({ delayed: true })).toMatchObject({ removed: 3 });
  await queue.resume();
  await useControl(app);
  await worker.close();
}

async function useControl({ inspect, control }: App): Promise<void> {
  const answered = ({ answers }: { answers: object }) => expect(Object.keys(answers)).toHaveLength(1);
  expect(await inspect.workers()).toHaveLength(1);
  expect((await inspect.queues()).length).toBeGreaterThan(1);
  await inspect.scheduled();
  await inspect.reserved();
  answered(await inspect.ping(soon));
  answered(await inspect.active(soon));
  answered(await inspect.stats(soon));
  answered(await inspect.registered(soon));
  answered(await inspect.conf(soon));
  await control.rateLimit('limited', '500/s');
  await control.limitConcurrency('limited', 7);
  await control.pause('limited');
  await control.resume('limited');
  answered(await control.setConcurrency(3, soon));
  answered(await control.cancelQueue('limited', soon));
  answered(await control.addQueue('limited', soon));
}

async function useWorkflows(app: App): Promise<void> {
  const state = { isBroken: true };
  const double = app.task({ name: 'double', input: z.number(), run: async (n) => 2 * n });
  const sum = app.task({
    name: 'sum',
    input: z.array(z.number()),
    run: async (all) => all.reduce((total, n) => total + n, 0),
  });
  const shaky = app.task({
    name: 'shaky',
    input: z.number(),
    run: async (n) => {
      if (state.isBroken) throw new Error('shaky');
      return n;
    },
  });
  const swap = app.task({
    name: 'swap',
    input: z.number(),
    run: async (n, ctx): Promise<number> => ctx.replace(double, n) as never,
  });
  const members = app.task({
    name: 'members',
    input: z.number(),
    run: async (n, ctx) => {
      if (n === 1) await ctx.addToGroup(double, 10);
      return n;
    },
  });
  await app.worker().start();
  expect(await (await chain(double, group([double, double]), sum).delay(1)).get(soon)).toBe(8);
  expect(await (await chain(map(double), sum).delay([1, 2, 3])).get(soon)).toBe(12);
  expect(await (await group([swap, swap]).delay(2)).get(soon)).toEqual([4, 4]);
  expect(await (await group([members.si(1), members.si(2)]).delay()).get(soon)).toEqual([1, 2, 20]);
  const many = await group(new Set(Array.from({ length: 1200 }, (_, n) => double.si(n)))).delay();
  expect(await many.get(soon)).toHaveLength(1200);
  const any = await group.any([double.si(1), double.si(2).set({ countdown: '1h' })]).delay();
  expect(await any.get(soon)).toBeGreaterThan(0);
  expect(await (await group.settled([double.si(1), shaky.si(1)]).delay()).get(soon)).toHaveLength(2);
  const linked = await chain(double, double)
    .link(double)
    .linkError(sum as never)
    .delay(1);
  expect(await linked.get(soon)).toBe(4);
  const broken = await chain(double, shaky, double).delay(1);
  await expect(broken.get(soon)).rejects.toThrow('shaky');
  state.isBroken = false;
  expect(await broken.resume()).toBeGreaterThan(0);
  await vi.waitFor(async () => expect(await broken.get(soon)).toBe(4));
  await broken.graph();
  await broken.counts();
  const waiting = await chain(double, double).applyAsync(1, { countdown: '1h' });
  await waiting.revoke();
  await expect(waiting.get(soon)).rejects.toThrow('revoked');
  for (const run of [waiting, linked, many, any]) await run.forget();
  expect(Object.keys((await app.control.shutdown(soon)).answers)).toHaveLength(1);
}

/** Parts of BullMQ that Umbel does not use. */
const UNUSED =
  /^(?:relay|obliterate|drain|\w+JobScheduler|removeOrphanedJobs|getMetrics|getCountsPerPriority|changePriority)/;

/** The commands that the scripts of BullMQ call. */
function scriptedCommands(): Set<string> {
  const folder = new URL('./scripts/', import.meta.resolve('bullmq'));
  const scripts = readdirSync(folder).filter((file) => /-\d+\.js$/.test(file) && !UNUSED.test(file));
  expect(scripts.length).toBeGreaterThan(30);
  const calls = scripts.flatMap((file) => [
    ...readFileSync(new URL(file, folder), 'utf8').matchAll(/(?:rcall|redis\.p?call)\(\s*['"](\w+)/g),
  ]);
  return new Set(calls.map(([, name = '']) => name.toLowerCase()));
}

describe('a Redis of its own', () => {
  let server: RedisServer;
  let admin: Redis;
  let ca: Buffer;
  let tlsPort: number;
  let folder: string;
  const user = { username: `${APP}-tasks`, password: 'only-for-this-test' };
  const rule = grantedRule(APP, user.password);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
    const wanted = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
    execFileSync('openssl', ['req', ...wanted, '-addext', names, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    ca = readFileSync(cert);
    tlsPort = await freePort();
    const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const more = ['--tls-port', `${tlsPort}`, ...files, '--tls-auth-clients', 'no'];
    server = await startRedis('redis-server', { more });
    admin = new Redis(server.url);
    await admin.call('ACL', 'SETUSER', ...rule);
  });

  afterAll(async () => {
    admin.disconnect();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    await admin.flushall();
    await admin.script('FLUSH'); // so that scripts are sent anew
  });

  const connection = () => ({ host: '127.0.0.1', port: Number(new URL(server.url).port), ...user });

  test('lets an app do everything as a user with the rule of the guide, and refuses it nothing', async () => {
    await admin.call('ACL', 'LOG', 'RESET');
    const errors: string[] = [];
    await doEverything(connection(), errors);
    expect(errors).toEqual([]);
    expect(await admin.call('ACL', 'LOG')).toEqual([]);
  });

  test('lets an app do everything as a user that may not ask for the last event', async () => {
    await admin.call('ACL', 'SETUSER', user.username, '-xrevrange');
    try {
      const errors: string[] = [];
      await doEverything(connection(), errors);
      expect(errors).toEqual([]);
    } finally {
      await admin.call('ACL', 'SETUSER', user.username, '+xrevrange');
    }
  });

  test('grants by that rule what BullMQ calls, and nothing else', async () => {
    await admin.config('RESETSTAT');
    await doEverything(connection(), []);
    const seen = [...(await callsByCommand(admin)).keys()];
    const needed = new Set([...scriptedCommands(), ...seen.filter((name) => name !== 'config|resetstat')]);
    const granted = rule.filter((word) => word.startsWith('+')).map((word) => word.slice(1));
    expect([...granted].sort()).toEqual([...needed].sort());
    expect(rule.filter((word) => !word.startsWith('+')).sort()).toEqual(
      ['-@all', `>${user.password}`, `${APP}-tasks`, 'on', 'resetchannels', `~umbel:{${APP}}:*`].sort(),
    );
  });

  test('is served by a rule of an earlier version too', async () => {
    const words = rule.filter((word) => word !== '+hkeys' && word !== '+unlink');
    await admin.call('ACL', 'SETUSER', 'older-tasks', 'reset', ...words.slice(1));
    const older = { ...connection(), username: 'older-tasks' };
    const app = createApp({ name: APP, connection: older, logger: { info() {}, warn() {}, error() {} } });
    const double = app.task({ name: 'double', input: z.number(), run: async (n) => 2 * n });
    await app.worker({ handleSignals: false }).start();
    const run = await chain(double, group([double, double])).delay(1);
    expect(await run.get(soon)).toEqual([4, 4]);
    await run.forget();
    expect(await run.state()).toBe('unknown');
    await app.close();
    await admin.call('ACL', 'DELUSER', 'older-tasks');
  });

  test.each([
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['CONFIG', 'SET', 'maxmemory', '1'],
    ['CONFIG', 'GET', '*'],
    ['KEYS', '*'],
    ['SCAN', '0'],
    ['SHUTDOWN'],
    ['SLOWLOG', 'GET'],
    ['ACL', 'LIST'],
    ['ACL', 'SETUSER', 'x'],
    ['CLIENT', 'LIST'],
    ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ['MONITOR'],
    ['SCRIPT', 'FLUSH'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['MODULE', 'LIST'],
    ['FUNCTION', 'LIST'],
    ['PUBLISH', 'channel', 'x'],
    ['SUBSCRIBE', 'channel'],
    ['MIGRATE', 'h', '1', 'k', '0', '1'],
    ['GET', 'umbel:{other}:default:id'],
    ['SET', 'elsewhere', '1'],
    ['DEL', `umbel:{${APP}}x:default`],
    ['EVAL', "return redis.call('GET', 'umbel:{other}:x')", '0'],
    ['EVAL', "return redis.call('FLUSHALL')", '0'],
  ])('refuses that user %j', async (...command) => {
    const redis = new Redis(connection());
    const [name = '', ...args] = command;
    await expect(redis.call(name, ...args)).rejects.toThrow(
      /NOPERM|ACL failure|can't (?:run this command|access)/,
    );
    redis.disconnect();
  });

  test('serves an app over TLS, with the user and its certificate', async () => {
    const errors: string[] = [];
    await doEverything({ ...connection(), port: tlsPort, tls: { ca } }, errors);
    expect(errors).toEqual([]);
  });

  test('over TLS is not reached if its certificate is not trusted', async () => {
    const errors: string[] = [];
    const logger = { info() {}, warn() {}, error: (message: string) => errors.push(message) };
    const app = createApp({
      name: APP,
      connection: `rediss://localhost:${tlsPort}`,
      logger,
      sendTimeout: '1s',
    });
    const task = app.task({ name: 'tick', run: async () => 1 });
    await expect(task.delay()).rejects.toThrow(ConnectionError);
    expect(errors.join()).toContain('self-signed certificate');
    await app.close();
  });
});
