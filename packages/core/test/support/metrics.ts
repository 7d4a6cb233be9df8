/** Prometheus text, read. */

/** Values by name and labels as they stand in the text: `'umbel_active{queue="default"}'`. @throws if a line is no sample. */
export function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ') || line.startsWith('# TYPE ')) continue;
    const match = /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*\})?) (\S+)$/.exec(line);
    const [, name, value] = match ?? [];
    if (name === undefined || value === undefined) throw new Error(`no sample: ${line}`);
    if (samples.has(name)) throw new Error(`twice: ${name}`);
    samples.set(name, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  }
  return samples;
}

/** Those whose names begin so. */
export function beginning(samples: ReadonlyMap<string, number>, start: string): Record<string, number> {
  return Object.fromEntries([...samples].filter(([name]) => name.startsWith(start)).sort());
}
