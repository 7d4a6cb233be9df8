// From what was measured to figures: a value for each round, named by part and measure.
import { pairedRatio, summary } from './statistics.mjs';

/** The measures of a part of a row, each per unit of the row, in the order of the table. */
const MEASURES = {
  wall: 'µs',
  node: 'µs of the processes',
  redis: 'µs of Redis',
  cpu: 'µs of both',
  commands: 'commands',
  bytes: 'bytes',
};

const SCRIPTS_AND_CONNECTIONS = /^(client|hello|auth|select|config|slowlog|multi|exec|script)\b/;

/** Parts of a row with a list of values for each measure; two phases or more also together, as `both`. */
function partsOf({ size, runs }) {
  const [first] = runs;
  const names = Object.keys(first?.phases ?? {});
  const parts = {};
  for (const name of names) parts[name] = runs.map(({ phases }) => measured(phases[name], size));
  if (names.length > 1) {
    parts.both = runs.map((_, round) => {
      const all = names.map((name) => parts[name][round]);
      return Object.fromEntries(
        Object.keys(MEASURES).map((measure) => [measure, all.reduce((sum, part) => sum + part[measure], 0)]),
      );
    });
  }
  return Object.fromEntries(
    Object.entries(parts).map(([name, rounds]) => [
      name,
      Object.fromEntries(
        Object.keys(MEASURES).map((measure) => [measure, rounds.map((part) => part[measure])]),
      ),
    ]),
  );
}

function measured({ ms, cpuMs, redisMs, commands, bytes }, size) {
  const us = (value) => (value * 1000) / size;
  // What scripts call is counted too.
  const counted = Object.entries(commands).filter(([command]) => !SCRIPTS_AND_CONNECTIONS.test(command));
  return {
    wall: us(ms),
    node: us(cpuMs),
    redis: us(redisMs),
    cpu: us(cpuMs + redisMs),
    commands: counted.reduce((sum, [, calls]) => sum + calls, 0) / size,
    bytes: bytes / size,
  };
}

/** The facts of a row, each with a list of values. */
function factsOf({ runs }) {
  const names = Object.keys(runs[0]?.facts ?? {});
  return Object.fromEntries(names.map((name) => [name, runs.map(({ facts }) => facts[name])]));
}

/** Medians and quartiles of everything that a row has measured, and how ours compares with each other system. */
export function digest(told) {
  const systems = {};
  for (const [system, measuredBy] of Object.entries(told)) {
    if (measuredBy.missing !== undefined) {
      systems[system] = measuredBy;
      continue;
    }
    systems[system] = {
      size: measuredBy.size,
      rounds: measuredBy.runs.length,
      parts: mapValues(partsOf(measuredBy), (part) => mapValues(part, summary)),
      facts: mapValues(factsOf(measuredBy), summary),
    };
  }
  return { systems, ratios: ratios(told) };
}

/** Times as fast, or as cheap, as each other system: above 1 is better. Of facts: times as much. */
function ratios(told) {
  const { umbel: ours, ...others } = told;
  if (ours === undefined || ours.missing !== undefined) return {};
  const present = Object.entries(others).filter(([, { missing }]) => missing === undefined);
  return Object.fromEntries(
    present.map(([system, theirs]) => {
      const parts = partsOf(theirs);
      const compared = {};
      for (const [name, own] of Object.entries(partsOf(ours))) {
        if (parts[name] === undefined) continue;
        compared[name] = {};
        for (const measure of Object.keys(MEASURES)) {
          if (own[measure].every((value) => value > 0))
            compared[name][measure] = pairedRatio(parts[name][measure], own[measure]);
        }
      }
      const facts = factsOf(theirs);
      const times = mapValues(factsOf(ours), (own, name) => facts[name] && pairedRatio(own, facts[name]));
      return [system, { ...compared, ...(Object.keys(times).length > 0 && { facts: times }) }];
    }),
  );
}

/** Whether each target of a row is met, in words and numbers. */
export function judge(row, { systems, ratios: compared }) {
  return row.targets.map((target) => {
    const { of, fact, against, times, most, perSecond, atMostMs } = target;
    const own = systems.umbel;
    const nothing = { ...target, met: undefined };
    if (own === undefined || own.missing !== undefined) return nothing;
    if (perSecond !== undefined) {
      const reached = 1e6 / own.parts[of].wall.median;
      return { ...target, reached, met: reached >= perSecond };
    }
    if (atMostMs !== undefined) {
      const reached = own.parts[of].wall.median / 1000;
      return { ...target, reached, met: reached <= atMostMs };
    }
    const other = against === undefined ? undefined : compared[against];
    if (against !== undefined && other === undefined) return nothing;
    if (fact !== undefined) {
      const reached = (other === undefined ? own.facts[fact] : other.facts[fact])?.median;
      return reached === undefined ? nothing : { ...target, reached, met: reached <= most };
    }
    const { wall, cpu } = other[of];
    return { ...target, reached: wall.median, reachedCpu: cpu?.median, met: wall.median >= times };
  });
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
}
