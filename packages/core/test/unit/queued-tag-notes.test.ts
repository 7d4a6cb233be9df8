/** Notes of tags that a store queues before they are in its index. */
import { describe, expect, test } from 'vitest';
import type { TagNoteQueue } from '../../src/store/primitives/tags.js';
import { taskTerms } from '../../src/store/search-terms.js';
import { moveNotes, NoteBatches, pushNotes, type TextNote } from '../../src/store/tag-notes.js';

const note = (id: string): TextNote => ({
  tags: ['red', `of ${id}`],
  queue: 'default',
  id,
  at: 1,
  checkAt: 2,
});

const LOOK_MS = 600_000;

/** A queue as Redis has it: what is taken out must be the oldest, by the first and the last text. */
function queueInMemory() {
  const texts: string[] = [];
  const data = new Map<string, string>();
  const callOf = (text: string) => {
    const stored = data.get(text);
    return stored === undefined ? undefined : { call: { task: 'a.b', data: stored, sentAt: 1000 } };
  };
  const queue: TagNoteQueue = {
    push: async (more) => texts.push(...more),
    first: async (limit) => {
      const notes = texts.slice(0, limit).map((text) => ({ text, ...callOf(text) }));
      return { notes, count: texts.length };
    },
    latest: async (limit) => {
      const notes = texts.slice(-limit).map((text) => ({ text, ...callOf(text) }));
      return { notes: notes.reverse(), count: texts.length };
    },
    take: async (taken) => {
      const areFirst = texts[0] === taken[0] && texts[taken.length - 1] === taken.at(-1);
      if (areFirst) texts.splice(0, taken.length);
      return areFirst;
    },
  };
  let marks = 0;
  const push = (ids: readonly string[]) => pushNotes(queue, ids.map(note), () => `${marks++}`);
  return { queue, texts, data, push };
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

describe('queued notes', () => {
  test('come out as they were put in, in their order', async () => {
    const { queue, texts, push } = queueInMemory();
    expect(await push(numbers(450))).toBe(450);
    const moved: TextNote[] = [];
    const move = () =>
      moveNotes(queue, Number.POSITIVE_INFINITY, LOOK_MS, async (notes) => void moved.push(...notes));
    expect(await move()).toBe(450);
    expect(moved).toEqual(numbers(450).map(note));
    expect(texts).toEqual([]);
    expect(await move()).toBe(0);
  });

  test('are moved up to a limit, and no more than there were', async () => {
    const { queue, push } = queueInMemory();
    await push(numbers(60));
    expect(await moveNotes(queue, 30, LOOK_MS, async () => {})).toBe(30);
    // While more and more come, this ends.
    expect(
      await moveNotes(queue, Number.POSITIVE_INFINITY, LOOK_MS, async () => void (await push(numbers(40)))),
    ).toBe(30);
  });

  test('are not lost when several processes move them at the same time, and one has been put in twice', async () => {
    const { queue, texts, push } = queueInMemory();
    await push(numbers(70));
    texts.splice(35, 0, ...texts.slice(30, 35)); // a command that was sent again after a cut
    const noted = new Set<string>();
    const mover = (ticks: number) =>
      moveNotes(queue, Number.POSITIVE_INFINITY, LOOK_MS, async (notes) => {
        for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
        if (noted.size < 60 && ticks > 3) await push([`late ${noted.size}`]);
        for (const { id } of notes) noted.add(id);
      });
    await Promise.all([mover(1), mover(2), mover(5), mover(9)]);
    await mover(0);
    for (const id of numbers(70)) expect(noted).toContain(id);
    expect(texts).toEqual([]);
  });

  test('are left to another process that moves the same ones', async () => {
    const { queue, texts, push } = queueInMemory();
    await push(numbers(450));
    const others: Promise<number>[] = [];
    let moved = 0;
    await moveNotes(
      queue,
      Number.POSITIVE_INFINITY,
      LOOK_MS,
      async (notes) => {
        moved += notes.length;
        if (others.length === 0) others.push(moveNotes(queue, 100, LOOK_MS, async () => {}));
        await others[0];
      },
      async () => {
        others.push(moveNotes(queue, Number.POSITIVE_INFINITY, LOOK_MS, async () => {}));
        await others[1];
      },
    );
    expect(await Promise.all(others)).toEqual([100, 350]);
    expect(moved).toBe(25); // the first ones, which both have moved
    expect(texts).toEqual([]);
  });

  test('stay in the queue while the index cannot be written', async () => {
    const { queue, texts, push } = queueInMemory();
    await push(['one']);
    await expect(moveNotes(queue, 9, LOOK_MS, () => Promise.reject(new Error('full')))).rejects.toThrow(
      'full',
    );
    expect(texts).toHaveLength(1);
  });

  test('of calls that the store has noted have the tags of the job, and its task if it is indexed', async () => {
    const { queue, texts, data } = queueInMemory();
    const notes: Record<string, string | undefined> = {
      'mail/one': '{"umbel":1,"tags":["a","b]","c\\"]"],"input":{"tags":["no"]}}',
      'mail/cut': '{"umbel":1,"tags":["a"],"input":"the rest is not re',
      'mail/edited': '{"input":1,"tags":["late"],"umbel":1}',
      'mail/gone': undefined,
      'mail/indexed': '{"umbel":1,"indexed":true,"input":{"tags":["no"]}}',
      'mail/both': '{"umbel":1,"indexed":true,"tags":["a"],"input":"the rest is not re',
      'mail/turned': '{"input":1,"indexed":true,"umbel":1}',
      'mail/none': '{"umbel":1,"input":{"tags":["no"]}}',
      'mail/wrong': '{"umbel":1,"tags":[1]}',
      'mail/broken': '{"umbel":1,"tags":["a',
    };
    for (const [text, job] of Object.entries(notes)) {
      texts.push(text);
      if (job !== undefined) data.set(text, job);
    }
    const moved: TextNote[] = [];
    await moveNotes(queue, 20, LOOK_MS, async (some) => void moved.push(...some));
    const of = (id: string, tags: string[]) => ({
      queue: 'mail',
      id,
      at: 1000,
      checkAt: 1000 + LOOK_MS,
      tags,
    });
    const terms = taskTerms('a.b');
    expect(terms).toHaveLength(2);
    expect(moved).toEqual([
      ...[of('one', ['a', 'b]', 'c"]']), of('cut', ['a']), of('edited', ['late'])],
      ...[of('indexed', [...terms]), of('both', ['a', ...terms]), of('turned', [...terms])],
    ]);
    expect(texts).toEqual([]);
  });

  test.each(['', '{', 'null', '{}', '[]', '["a","b"]', '["m","a","b",1,null,[]]', '["m","a","b",1,2,[3]]'])(
    'that another program has put there go: %s',
    async (text) => {
      const { queue, texts } = queueInMemory();
      texts.push(text);
      const moved: TextNote[] = [];
      await moveNotes(queue, 9, LOOK_MS, async (notes) => void moved.push(...notes));
      expect(moved).toEqual([]);
      expect(texts).toEqual([]);
    },
  );
});

describe('notes that are added in the same turn', () => {
  test('are written together, and before what is sent once they were issued', async () => {
    const written: string[][] = [];
    const order: string[] = [];
    const batches = new NoteBatches(async (notes) => {
      order.push('notes');
      written.push(notes.map(({ id }) => id));
    });
    const send = async (id: string) => {
      const noting = batches.add([note(id)]);
      await noting.issued;
      order.push(`job ${id}`);
      await noting.done();
    };
    await Promise.all(['a', 'b', 'c'].map(send));
    await send('d');
    expect(written).toEqual([['a', 'b', 'c'], ['d']]);
    expect(order).toEqual(['notes', 'job a', 'job b', 'job c', 'notes', 'job d']);
  });

  test('fail together', async () => {
    const batches = new NoteBatches(() => Promise.reject(new Error('refused')));
    const both = [batches.add([note('a')]), batches.add([note('b')])];
    for (const noting of both) {
      await noting.issued;
      await expect(noting.done()).rejects.toThrow('refused');
    }
  });
});
