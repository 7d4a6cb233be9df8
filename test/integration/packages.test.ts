/** The packages as they are published: packed, installed in an empty folder, and used from there in every way. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packedFiles } from '../support/packed.js';
import { root } from '../support/snippets.js';

/** What a project has besides, in the versions of this repository. */
const OTHERS = ['zod', 'typescript', '@types/node'];

const PROGRAM = `
const app = createApp({ name: 'shop', connection: memory() });
const add = app.task({ name: 'add', input: z.object({ x: z.number(), y: z.number() }), run: async ({ x, y }) => x + y });
const double = app.task({ name: 'double', input: z.number(), run: async (n) => n * 2 });
const flow = chain(add, group([double, double]));
async function main() {
  await app.worker().start();
  const both: [number, number] = await (await flow.delay({ x: 1, y: 2 })).get({ timeout: '50s' });
  console.log(JSON.stringify(both));
  await app.close();
}
void main();
`;
const IMPORTS = `import { chain, group } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';
`;
const REQUIRES = `const { chain, group } = require('@umbel/canvas');
const { createApp } = require('@umbel/core');
const { memory } = require('@umbel/testing');
const { z } = require('zod');
`;
const UNTYPED = PROGRAM.replace(': [number, number]', '');
const HOVERED = PROGRAM.replaceAll(/^const /gm, 'export const ').replace('void main();', '');

describe('the packages, installed in an empty folder', () => {
  let folder: string;

  function run(program: string, ...args: string[]) {
    const { status, stdout, stderr } = spawnSync(program, args, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 90_000,
    });
    return { status, stdout, stderr };
  }

  const compiled = (...args: string[]) =>
    run(
      process.execPath,
      ...['node_modules/typescript/bin/tsc', '--ignoreConfig', '--strict', '--target', 'es2023'],
      ...['--types', 'node', '--skipLibCheck', '--checkers', '1', '--outDir', 'out', ...args],
    );

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'umbel-packed-'));
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    const dependencies = Object.fromEntries(OTHERS.map((name) => [name, devDependencies[name]]));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--silent'];
    const { status } = run('npm', 'install', ...options, ...packedFiles().values());
    expect(status).toBe(0);
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('fit each other, and are there once each', () => {
    const { status, stdout } = run('npm', 'ls', '@umbel/core', 'bullmq', 'ioredis', '--all', '--parseable');
    expect(status).toBe(0); // else a peer is missing, or of another version
    expect(stdout.trim().split('\n')).toHaveLength(3);
  });

  test('run from ECMAScript modules', () => {
    writeFileSync(join(folder, 'program.mjs'), IMPORTS + UNTYPED);
    expect(run(process.execPath, 'program.mjs')).toEqual({ status: 0, stdout: '[6,6]\n', stderr: '' });
  });

  test('run from CommonJS', () => {
    writeFileSync(join(folder, 'program.cjs'), REQUIRES + UNTYPED);
    const { status, stdout } = run(process.execPath, '--no-warnings', 'program.cjs');
    expect({ status, stdout }).toEqual({ status: 0, stdout: '[6,6]\n' });
  });

  test.each([
    ['nodenext, as a module', 'typed.mts', 'typed.mjs', ['--module', 'nodenext']],
    ['nodenext, as CommonJS', 'typed.cts', 'typed.cjs', ['--module', 'nodenext']],
    ['bundler', 'typed.ts', undefined, ['--module', 'preserve', '--moduleResolution', 'bundler']],
  ])('compile with %s', (_, source, output, options) => {
    writeFileSync(join(folder, source), IMPORTS + PROGRAM);
    expect(compiled(...options, source)).toEqual({ status: 0, stdout: '', stderr: '' });
    if (output === undefined) return;
    const { status, stdout } = run(process.execPath, '--no-warnings', join('out', output));
    expect({ status, stdout }).toEqual({ status: 0, stdout: '[6,6]\n' });
  });

  test('have types that read well where a pointer rests on them', () => {
    writeFileSync(join(folder, 'hover.mts'), IMPORTS + HOVERED);
    expect(compiled('--module', 'nodenext', '--declaration', 'hover.mts').stdout).toBe('');
    const declared = readFileSync(join(folder, 'out/hover.d.mts'), 'utf8');
    expect(declared.replaceAll(/\s+/g, ' ').replaceAll('import("@umbel/core").', '').trim()).toBe(
      'export declare const app: App<{}>; ' +
        'export declare const add: Task<"add", { x: number; y: number; }, number, {}>; ' +
        'export declare const double: Task<"double", number, number, {}>; ' +
        'export declare const flow: Signature<"chain", { x: number; y: number; }, [number, number], {}>;',
    );
  });

  test('bring the command line', () => {
    const { status, stdout, stderr } = run('npx', '--no-install', 'umbel', '--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('Usage: umbel <command>');
  });
});
