import { describe, expect, test } from 'vitest';
import { nameFrom, packageManagerOf, withUmbel } from '../../src/commands/init.js';

describe('package.json', () => {
  test('is made where there is none', () => {
    const { manifest, workerScript } = withUmbel(undefined, 'shop', '1.2.3');
    expect(manifest).toMatchObject({
      name: 'shop',
      private: true,
      type: 'module',
      scripts: { worker: 'umbel worker ./tasks.ts', test: 'vitest run' },
      dependencies: { '@umbel/core': '1.2.3', umbel: '1.2.3', zod: expect.any(String) },
      devDependencies: { '@umbel/testing': '1.2.3', vitest: expect.any(String) },
    });
    expect(workerScript).toBe('worker');
  });

  test('keeps what is there', () => {
    const given = {
      name: 'own',
      type: 'commonjs',
      license: 'MIT',
      scripts: { test: 'echo "Error: no test specified" && exit 1', worker: 'node w.js' },
      dependencies: { zod: '3.0.0' },
      devDependencies: { '@umbel/core': 'file:core.tgz' },
    };
    const { manifest, keptScripts, workerScript, testScript } = withUmbel(given, 'x', '1.2.3');
    expect(manifest).toMatchObject({ name: 'own', type: 'commonjs', license: 'MIT' });
    expect(manifest.scripts).toEqual({
      test: 'vitest run',
      worker: 'node w.js',
      'umbel:worker': 'umbel worker ./tasks.ts',
      dev: 'umbel dev ./tasks.ts',
    });
    expect({ keptScripts, workerScript, testScript }).toEqual({
      keptScripts: ['worker'],
      workerScript: 'umbel:worker',
      testScript: 'test',
    });
    expect(manifest.dependencies).toEqual({ '@umbel/canvas': '1.2.3', umbel: '1.2.3', zod: '3.0.0' });
    expect(manifest.devDependencies).toMatchObject({ '@umbel/core': 'file:core.tgz' });
  });
});

test('an app is named after its folder', () => {
  expect(nameFrom('/home/me/My Shop!')).toBe('My-Shop');
  expect(nameFrom('/')).toBe('app');
});

test('a package manager is known by what has started the program', () => {
  expect(packageManagerOf('/nowhere', 'pnpm/9.0.0 npm/? node/v20')).toBe('pnpm');
  expect(packageManagerOf('/nowhere', '')).toBe('npm');
});
