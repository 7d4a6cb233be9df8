/** A Redis Cluster of three primaries with a replica each, on this machine. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import type { CampaignStore } from '../campaign-store.js';
import { redisReader } from './reader.js';
import { untilReady } from './server.js';

const SIZE = 6;
/** How long a primary is silent before its replica takes over. */
const NODE_TIMEOUT_MS = 2000;
/** The servers of a cluster talk to each other on a port that is so much higher. */
const BUS_OFFSET = 10_000;
/** For all that is waited for here. */
const PATIENCE_MS = 60_000;

interface Member {
  readonly port: number;
  readonly directory: string;
  process: ChildProcess;
}

export class ClusterStore implements CampaignStore {
  readonly #members: readonly Member[];
  readonly #leave = () => {
    for (const { process } of this.#members) process.kill('SIGKILL');
  };

  private constructor(members: readonly Member[]) {
    this.#members = members;
    process.once('exit', this.#leave);
  }

  static async start(): Promise<ClusterStore> {
    const members: Member[] = [];
    for (let index = 0; index < SIZE; index += 1) {
      const port = await freePort();
      const directory = mkdtempSync(join(tmpdir(), 'umbel-cluster-'));
      members.push({ port, directory, process: startMember(port, directory) });
      await untilReady(port);
    }
    const store = new ClusterStore(members);
    try {
      const addresses = members.map(({ port }) => `127.0.0.1:${port}`);
      const options = ['--cluster-replicas', '1', '--cluster-yes'];
      await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, ...options]);
      await store.#untilWhole();
    } catch (error) {
      await store.stop();
      throw error;
    }
    return store;
  }

  get connection() {
    return { cluster: this.#members.map(({ port }) => ({ host: '127.0.0.1', port })) };
  }

  reader() {
    return redisReader(this.connection);
  }

  async ready(): Promise<void> {
    await this.#untilWhole();
  }

  /** `kill -9` of the primary that holds a key; gives its port once its replica has taken over and it is back. */
  async failOver(key: string): Promise<number> {
    const slot = await this.#ask(this.#members, (node) => node.cluster('KEYSLOT', key));
    const port = await this.#primaryOf(this.#members, Number(slot));
    const member = this.#members.find((each) => each.port === port);
    if (member === undefined) throw new Error(`no member of the cluster has port ${port}`);
    const others = this.#members.filter((each) => each !== member);
    await end(member.process, 'SIGKILL');
    await until(async () => (await this.#primaryOf(others, Number(slot))) !== port);
    member.process = startMember(member.port, member.directory);
    await this.#untilWhole();
    return member.port;
  }

  async stop(): Promise<void> {
    process.off('exit', this.#leave);
    for (const { process: server, directory } of this.#members) {
      await end(server, 'SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    }
  }

  async #primaryOf(members: readonly Member[], slot: number): Promise<number | undefined> {
    const slots = await this.#ask(members, (node) => node.cluster('SLOTS'));
    return slots.find(([first, last]) => first <= slot && slot <= last)?.[2]?.[1];
  }

  /** Resolves once every server agrees that all slots are served, and each replica follows its primary. */
  async #untilWhole(): Promise<void> {
    await until(async () => {
      for (const member of this.#members) {
        const [state, role] = await this.#ask([member], (node) =>
          Promise.all([node.cluster('INFO'), node.role()]),
        );
        if (!String(state).includes('cluster_state:ok')) return false;
        if (role[0] === 'slave' && role[3] !== 'connected') return false;
      }
      const nodes = String(await this.#ask(this.#members, (node) => node.cluster('NODES')));
      return !nodes.includes('fail') && nodes.split('slave').length - 1 === SIZE / 2;
    });
  }

  /** The answer of the first member that gives one. */
  async #ask<T>(members: readonly Member[], question: (node: Redis) => Promise<T>): Promise<T> {
    let last: unknown;
    for (const { port } of members) {
      const node = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null });
      node.on('error', () => {}); // told by the command
      try {
        return await question(node);
      } catch (error) {
        last = error;
      } finally {
        node.disconnect();
      }
    }
    throw last;
  }
}

function startMember(port: number, directory: string): ChildProcess {
  const options = {
    port,
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    appendonly: 'yes',
    appendfsync: 'always',
    'cluster-enabled': 'yes',
    'cluster-node-timeout': NODE_TIMEOUT_MS,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  return spawn('redis-server', args, { stdio: 'ignore' });
}

async function end(process: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const exited = once(process, 'exit');
  process.kill(signal);
  await exited;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo().catch(() => false))) {
    if (Date.now() > deadline) throw new Error('The cluster did not become whole.');
    await sleep(50);
  }
}

/** A port that is free, and the one for its bus too. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if ((await isFree(port)) && (await isFree(port + BUS_OFFSET))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
