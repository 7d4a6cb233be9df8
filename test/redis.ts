/**
 * The Redis of a test run: `REDIS_URL` if given, else a server started from the PATH on a free port, else one
 * installed with apt-get first. Nothing is skipped: without a Redis the run stops with one line that says what to do.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import type { TestProject } from 'vitest/node';
import { startRedis } from './support/redis-server.js';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
  }
}

const PROGRAMS = ['redis-server', 'valkey-server'];

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.REDIS_URL;
  if (given) {
    project.provide('redisUrl', given);
    return undefined;
  }
  const server = await startRedis(findProgram() ?? installRedis());
  project.provide('redisUrl', server.url);
  return server.stop;
}

function findProgram(): string | undefined {
  return PROGRAMS.find((program) => spawnSync(program, ['--version']).status === 0);
}

function installRedis(): string {
  const isRoot = process.getuid?.() === 0;
  if (isRoot && spawnSync('apt-get', ['--version']).status === 0) {
    console.log('redis-server is not installed: installing it with apt-get …');
    const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
    try {
      execFileSync('apt-get', ['update'], options);
      execFileSync('apt-get', ['install', '--yes', '--no-install-recommends', 'redis-server'], options);
    } catch {
      // The look-up below decides.
    }
  }
  const program = findProgram();
  if (program === undefined) {
    throw new Error(
      'The tests need a Redis: install redis-server or valkey-server, or set REDIS_URL to one.',
    );
  }
  return program;
}
