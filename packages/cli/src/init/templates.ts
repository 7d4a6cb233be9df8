/** The files that `umbel init` writes. */

export interface ProjectFacts {
  /** Of the app. */
  readonly name: string;
}

/** By their path in the project. */
export function templates({ name }: ProjectFacts): Readonly<Record<string, string>> {
  return {
    'tasks.ts': tasks(name),
    'tasks.test.ts': TEST,
    'umbel.config.json': `${JSON.stringify({ app: './tasks.ts' }, undefined, 2)}\n`,
    'tsconfig.json': `${JSON.stringify(TSCONFIG, undefined, 2)}\n`,
  };
}

const tasks = (name: string) => `import { chain } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { z } from 'zod';

// Its store: UMBEL_URL, else a Redis on this machine. Nothing connects before the first call.
export const app = createApp({ name: '${name}' });

export const greet = app.task({
  name: 'greet',
  input: z.object({ name: z.string() }),
  retry: { attempts: 3, delay: '1s' },
  run: async ({ name }) => ({ text: \`Hello, \${name}!\` }),
});

export const shout = app.task({
  name: 'shout',
  input: z.object({ text: z.string() }),
  run: async ({ text }) => text.toUpperCase(),
});

// What a step gives must fit what the next one needs, or it does not compile.
export const welcome = chain(greet, shout);
`;

const TEST = `import { testApp } from '@umbel/testing/vitest';
import { expect, test } from 'vitest';
import { app, greet, shout, welcome } from './tasks.js';

test('a greeting is shouted', async () => {
  const t = await testApp(app); // in memory, in virtual time
  t.fake(shout, ({ text }) => \`\${text}!!\`);
  expect(await t.run(welcome, { name: 'Ada' })).toBe('Hello, Ada!!!');
  expect(t).toHaveRun(greet, { times: 1 });
});
`;

const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
  },
  include: ['*.ts'],
};

export const SCRIPTS: Readonly<Record<string, string>> = {
  worker: 'umbel worker ./tasks.ts',
  dev: 'umbel dev ./tasks.ts',
  test: 'vitest run',
};

/** Umbel's own are of the version of this program. */
export function neededPackages(version: string): {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
} {
  return {
    dependencies: { '@umbel/canvas': version, '@umbel/core': version, umbel: version, zod: '^4.6.7' },
    devDependencies: {
      '@types/node': '^20.19.43',
      '@umbel/testing': version,
      typescript: '^7.0.2',
      vitest: '^4.1.12',
    },
  };
}
