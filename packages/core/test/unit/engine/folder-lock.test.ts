/** The lock of a folder: one process at a time, and none that has ended keeps it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreConfigurationError } from '@umbel/core';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type FolderLock, lockFolder } from '../../../src/store/engine/pglite/folder-lock.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'umbel-lock-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

const host = hostname().replaceAll(/[^\w.-]/g, '_');

function announced(pid: number, started = '0', on = host): string {
  const file = `umbel-lock.${pid}.${started}.0123abcd.${on}`;
  writeFileSync(join(folder, file), '');
  return file;
}

function startProcess(): ChildProcess & { pid: number } {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child as ChildProcess & { pid: number };
}

describe('the lock of a folder', () => {
  test('is taken once, and again after its release', async () => {
    const lock = await lockFolder(folder);
    const refused = expect(lockFolder(folder)).rejects;
    await refused.toThrow(
      `The folder "${folder}" is in use by another thread or copy of Umbel in this process`,
    );
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
    (await lockFolder(folder)).release();
  });

  test('goes to one of many who ask at once, or to none', async () => {
    const locks = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
    const taken = locks.filter((lock) => lock.status === 'fulfilled');
    expect(taken.length).toBeLessThanOrEqual(1);
    for (const { value } of taken as PromiseFulfilledResult<FolderLock>[]) value.release();
    expect(readdirSync(folder)).toEqual([]);
    (await lockFolder(folder)).release();
  });

  test('of a living process is refused by its number, and taken once it has ended', async () => {
    const child = startProcess();
    announced(child.pid);
    const refused = expect(lockFolder(folder)).rejects;
    await refused.toThrow(StoreConfigurationError);
    await expect(lockFolder(folder)).rejects.toThrow(`is in use by process ${child.pid}: `);
    child.kill('SIGKILL');
    await once(child, 'exit');
    (await lockFolder(folder)).release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test.runIf(process.platform === 'linux')(
    'of an earlier process with the same number is taken',
    async () => {
      announced(process.pid, '0a1b2c3d-77');
      (await lockFolder(folder)).release();
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test('of another host is refused, with the file to delete', async () => {
    const file = announced(1, '0', 'another.host');
    const refused = expect(lockFolder(folder)).rejects;
    await refused.toThrow(
      `is in use by process 1 on host "another.host": a PGlite database takes one process at a time. Stop that process ` +
        'first. To use jobs from several processes at the same time, choose Redis or PostgreSQL as the store. If that ' +
        `process has ended, delete the file "${join(folder, file)}".`,
    );
    expect(readdirSync(folder)).toEqual([file]);
  });

  test('ignores other files', async () => {
    writeFileSync(join(folder, 'umbel-lock.txt'), '');
    (await lockFolder(folder)).release();
    expect(readdirSync(folder)).toEqual(['umbel-lock.txt']);
  });
});
