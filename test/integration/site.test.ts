/** The site builds without a warning and without a network, has every page and every export, and loads nothing from elsewhere. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import * as canvas from '@umbel/canvas';
import * as core from '@umbel/core';
import * as opentelemetry from '@umbel/core/opentelemetry';
import * as prometheus from '@umbel/core/prometheus';
import * as testing from '@umbel/testing';
import { createMarkdownRenderer } from 'vitepress';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { entries } from '../../docs/.vitepress/api-reference.js';
import { LANGUAGE_ALIASES } from '../../docs/.vitepress/code.js';
import { exportsOf } from '../../docs/.vitepress/declarations.js';
import { stages } from '../../docs/.vitepress/pages.js';
import { root } from '../support/snippets.js';

const pages = stages.flatMap(({ pages }) => pages.map(({ page }) => page));
const site = mkdtempSync(join(tmpdir(), 'umbel-site-'));
let output: string;

beforeAll(() => {
  const program = join(root, 'node_modules/vitepress/bin/vitepress.js');
  const { stdout, stderr } = spawnSync(process.execPath, [program, 'build', 'docs', '--outDir', site], {
    cwd: root,
    encoding: 'utf8',
    timeout: 240_000,
    env: {
      ...process.env,
      HTTPS_PROXY: 'http://127.0.0.1:9',
      HTTP_PROXY: 'http://127.0.0.1:9',
      UMBEL_DOCS_COLORS: '0',
    },
  });
  output = stdout + stderr;
}, 250_000);
afterAll(() => rmSync(site, { recursive: true, force: true }));

test('is built by `npm run docs:build`, into its usual folder', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  expect(scripts['docs:build']).toMatch(/&& vitepress build docs$/);
});

test('the build says nothing but that it is done', () => {
  const lines = stripVTControlCharacters(output)
    .split('\n')
    .filter((line) => /\w/.test(line));
  const usual = /vitepress v|building client \+ server bundles|rendering pages|^build complete/;
  expect(lines.filter((line) => !usual.test(line))).toEqual([]);
  expect(output).toContain('build complete');
});

test('the code on every page is in a language that gets colors', async () => {
  const texts = pages.map((page) => readFileSync(join(site, `${page}.md`), 'utf8'));
  const fences = texts.flatMap((text) => [...text.matchAll(/^ *```(\w+)/gm)]);
  const languages = [...new Set(fences.map(([, language]) => language))].filter((each) => each !== 'mermaid'); // drawn
  expect(languages).toContain('ts');
  const warnings: string[] = [];
  const logger = { ...console, warn: (text: string) => warnings.push(text) } as never;
  const renderer = await createMarkdownRenderer(site, { languageAlias: LANGUAGE_ALIASES }, '/', logger);
  const html = languages.map((language) => renderer.render(`\`\`\`${language}\nlet x = 1;\n\`\`\`\n`));
  expect(html.filter((each) => !each.includes('<pre class="shiki'))).toEqual([]);
  expect(warnings).toEqual([]);
});

test.each(pages)('%s is a page, and a file for programs', (page) => {
  expect(readFileSync(join(site, `${page}.html`), 'utf8')).toContain('<h1');
  expect(readFileSync(join(site, 'llms.txt'), 'utf8')).toContain(`](/${page}.md)`);
  const text = readFileSync(join(site, `${page}.md`), 'utf8').trim();
  expect(readFileSync(join(site, 'llms-full.txt'), 'utf8')).toContain(text);
});

test('nothing is loaded from elsewhere', () => {
  const files = readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.(html|css)$/.test(file),
  );
  const text = files.map((file) => readFileSync(join(site, file), 'utf8')).join('\n');
  const pictures = [...text.matchAll(/data:image\/svg\+xml;base64,([^"]+)/g)].map(([, data = '']) =>
    atob(data),
  );
  const diagrams = pages.flatMap((page) => {
    const source = readFileSync(join(site, `${page}.md`), 'utf8');
    return source.match(/^```mermaid$/gm) ?? [];
  });
  expect(diagrams.length).toBeGreaterThan(10);
  expect(pictures).toHaveLength(diagrams.length);
  const loading = /<(script|img|link)\b[^>]*(src|href)="https?:[^"]*"|url\(['"]?https?:[^)]*\)|@import[^;]*/g;
  expect([text, ...pictures].flatMap((part) => part.match(loading) ?? [])).toEqual([]);
});

test('pages link to pages', () => {
  const broken = pages.flatMap((page) => {
    const html = readFileSync(join(site, `${page}.html`), 'utf8');
    const links = [...html.matchAll(/<a\b[^>]*href="\/([^"#]*)/g)].map(([, link = '']) => link);
    return links.filter((link) => link !== '' && !existsSync(join(site, `${link}.html`)));
  });
  expect(broken).toEqual([]);
});

describe('the reference', () => {
  const modules: Record<string, object> = {
    '@umbel/core': core,
    '@umbel/canvas': canvas,
    '@umbel/testing': testing,
    '@umbel/core/prometheus': prometheus,
    '@umbel/core/opentelemetry': opentelemetry,
  };

  test.each(Object.entries(entries))('of %s has every export, once', (name, { page, file }) => {
    const text = readFileSync(join(site, 'generated', `${page}.md`), 'utf8');
    const headings = [...text.matchAll(/^### (\S+)/gm)].map(([, heading]) => heading);
    expect(headings.toSorted()).toEqual(
      exportsOf(join(root, file))
        .map((item) => item.name)
        .toSorted(),
    );
    expect(headings).toEqual(expect.arrayContaining(Object.keys(modules[name] ?? {})));
    expect(Object.keys(modules[name] ?? {}).length).toBeGreaterThan(0);
  });

  test('has the docstrings', () => {
    const text = readFileSync(join(site, 'generated/api-core.md'), 'utf8');
    expect(text).toContain('An app binds tasks to a store.');
    expect(text).toContain(
      'How long a completed job is kept after its end, and a workflow run with all its steps. Default 1 day.',
    );
    expect(text).toContain("```ts\nconst app = createApp({ name: 'shop' });\n");
  });
});
