import { readFileSync } from 'node:fs';

/** What a file of JSON lines holds. The last line may be cut off: whoever wrote it may have been killed. */
export function readJsonLines<T>(file: string): T[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line) as T);
}
