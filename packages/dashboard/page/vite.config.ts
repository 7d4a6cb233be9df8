/** Builds the page into `dist/page`. Preact's JSX needs no plugin. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path('.'),
  base: './', // the page may be mounted at any path
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: path('../dist/page'),
    emptyOutDir: true,
    assetsInlineLimit: 0, // the policy of the page allows no `data:` address
    modulePreload: { polyfill: false }, // it would be an inline script
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'], // which have `light-dark()`
  },
});
