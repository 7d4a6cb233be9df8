/** This module serves the built page: its files, and its HTML for every other path. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const FOLDER = new URL('../dist/page/', import.meta.url);
/** The names that the build gives: without a slash, so no path leads out of the folder. */
const ASSET = /^[A-Za-z0-9_.-]+\.(css|js|svg)$/;

const read = new Map<string, Promise<Buffer | undefined>>();

/** Returns a file of the page; undefined if there is none of that name. */
export async function assetOf(name: string): Promise<Response | undefined> {
  const ending = ASSET.exec(name)?.[1];
  if (ending === undefined) return undefined;
  const file = await fileOf(`assets/${name}`);
  if (file === undefined) return undefined;
  const headers = {
    'content-type': TYPES[ending] ?? 'application/octet-stream',
    'cache-control': 'public, max-age=31536000, immutable', // the name contains a hash of the content
  };
  return new Response(new Uint8Array(file), { headers });
}

/** Returns the HTML of the page. Its links are relative to the path of the dashboard. */
export async function pageOf(basePath: string): Promise<Response> {
  const file = await fileOf('index.html');
  if (file === undefined) throw new Error(`The page of the dashboard is not built: ${fileURLToPath(FOLDER)}`);
  // Checked by the options: the path contains no character of HTML.
  const html = file.toString().replace('<base href="/">', `<base href="${basePath}/">`);
  const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };
  return new Response(html, { headers });
}

function fileOf(path: string): Promise<Buffer | undefined> {
  const known = read.get(path);
  if (known !== undefined) return known;
  const file = readFile(new URL(path, FOLDER)).catch(() => undefined);
  // What is missing may be built later.
  void file.then((content) => content === undefined && read.delete(path));
  read.set(path, file);
  return file;
}
