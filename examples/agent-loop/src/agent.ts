import { chain, group, loop } from '@umbel/canvas';
import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { z } from 'zod';
import { askModel } from './model.js';

export const app = createApp({ name: 'agent', connection: process.env.UMBEL_URL || memory() });

/** What one turn hands to the next one. `cents` is what the turn cost. */
const State = z.object({
  question: z.string(),
  facts: z.array(z.string()),
  isAnswered: z.boolean(),
  cents: z.number(),
});
const Plan = State.extend({ search: z.string(), expression: z.string() });

/** Asks the model what to do next. */
export const plan = app.task({
  name: 'agent.plan',
  input: State,
  output: Plan,
  retry: { attempts: 4, delay: '2s', on: (error) => error.message.includes('overloaded') },
  run: async (state) => {
    const { search, expression, cents } = await askModel(state.question, state.facts);
    console.log(`plan: search "${search}", calculate ${expression}`);
    return { ...state, search, expression, cents };
  },
});

/** Two tools. Each takes what it needs from the plan. */
export const search = app.task({
  name: 'tool.search',
  input: z.object({ search: z.string() }),
  run: async ({ search: text }) => {
    const library: Readonly<Record<string, string>> = {
      'length of the Aare': 'The Aare is 288 km long',
      'length of the Reuss': 'The Reuss is 164 km long',
    };
    return library[text] ?? `Nothing is known about the ${text}`;
  },
});
export const calculate = app.task({
  name: 'tool.calculate',
  input: z.object({ expression: z.string() }),
  run: async ({ expression }) => {
    const [, left, right] = /^(\d+) - (\d+)$/.exec(expression) ?? [];
    return left === undefined
      ? 'no difference to calculate'
      : `${expression} = ${Number(left) - Number(right)}`;
  },
});

/** Keeps the plan beside the results of the tools. */
const keep = app.task({
  name: 'agent.keep',
  input: Plan,
  output: Plan,
  run: async (planned) => planned,
});

/** Adds what was found, and decides whether the question is answered. */
export const check = app.task({
  name: 'agent.check',
  input: z.object({ planned: Plan, found: z.string(), figure: z.string() }),
  output: State,
  run: async ({ planned: { question, facts, cents }, found, figure }) => {
    const isAnswered = figure.includes('=');
    return { question, facts: [...facts, isAnswered ? figure : found], isAnswered, cents };
  },
});

/** One turn: plan, tools in parallel, check. At most ten turns, and none once 20 cents are spent. */
export const agent = loop(chain(plan, group({ planned: keep, found: search, figure: calculate }), check), {
  until: { isAnswered: true },
  max: 10,
  budget: { key: 'cents', max: 20 },
});

/** The state before the first turn. */
export const ask = (question: string) => ({ question, facts: [], isAnswered: false, cents: 0 });
