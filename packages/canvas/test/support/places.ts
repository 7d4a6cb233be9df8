/** Where a step can stand in a workflow, with what is round it. */
import { chain, chord, group } from '@umbel/canvas';
import type { Signature } from '@umbel/core';

export type AnySignature = Signature<string, unknown, unknown>;

export interface Place {
  readonly name: string;
  /** A workflow with `odd` in this place and `plain` everywhere else. */
  readonly build: (odd: AnySignature, plain: AnySignature) => AnySignature;
  /** Paths of jobs, with the whole at the path '0'. */
  readonly odd: string;
  /** Those that end whatever becomes of the step. */
  readonly others: readonly string[];
  /** Those that need the step's result, the next one first. */
  readonly later: readonly string[];
  /** It is a step of a chain that others follow. */
  readonly isFollowed?: true;
}

export const PLACES: readonly Place[] = [
  {
    name: 'the first step of a chain',
    build: (odd, plain) => chain(odd, plain, plain),
    odd: '0-0',
    others: [],
    later: ['0-1', '0'],
    isFollowed: true,
  },
  {
    name: 'a step in the middle of a chain',
    build: (odd, plain) => chain(plain, odd, plain),
    odd: '0-1',
    others: ['0-0'],
    later: ['0'],
    isFollowed: true,
  },
  {
    name: 'the last step of a chain',
    build: (odd, plain) => chain(plain, plain, odd),
    odd: '0',
    others: ['0-0', '0-1'],
    later: [],
  },
  {
    name: 'a member of a header',
    build: (odd, plain) => chord([plain, odd, plain], plain),
    odd: '0-0.1',
    others: ['0-0.0', '0-0.2'],
    later: ['0'],
  },
  {
    name: 'a body',
    build: (odd, plain) => chord([plain, plain], odd),
    odd: '0',
    others: ['0-0.0', '0-0.1'],
    later: [],
  },
  {
    name: 'a member of a header in a header',
    build: (odd, plain) => chord([plain, chord([plain, odd], plain)], plain),
    odd: '0-0.1-0.1',
    others: ['0-0.0', '0-0.1-0.0'],
    later: ['0-0.1', '0'],
  },
  {
    name: 'a member of a group after a step',
    build: (odd, plain) => chain(plain, group([odd, plain]), plain),
    odd: '0-1.0',
    others: ['0-0', '0-1.1'],
    later: ['0'],
  },
];
