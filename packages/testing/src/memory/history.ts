/** The history of attempts that Umbel keeps in a store, beyond BullMQ's contract. */
import { addCounts, formatCounts, type HistoryEntry, parseCounts } from '@umbel/core/internal';

interface Slot {
  readonly tasks: Map<string, string>;
  expiresAt: number;
}

export class HistorySlots {
  readonly #slots = new Map<string, Slot>();

  add(entries: readonly HistoryEntry[], maxTasks: number, other: string, now: number): void {
    for (const [name, { expiresAt }] of this.#slots) if (expiresAt <= now) this.#slots.delete(name);
    for (const { slot: name, keptMs, task, counts } of entries) {
      const slot = this.#slots.get(name) ?? { tasks: new Map<string, string>(), expiresAt: 0 };
      this.#slots.set(name, slot);
      slot.expiresAt = now + keptMs;
      const isNew = task !== '' && !slot.tasks.has(task);
      const field = isNew && slot.tasks.size > maxTasks ? other : task;
      const sums = parseCounts(slot.tasks.get(field) ?? '');
      addCounts(sums, parseCounts(counts));
      slot.tasks.set(field, formatCounts(sums));
    }
  }

  read(slots: readonly string[], task: string): string[] {
    return slots.map((slot) => this.#slots.get(slot)?.tasks.get(task) ?? '');
  }

  tasks(slots: readonly string[]): [task: string, counts: string][] {
    return slots.flatMap((slot) => [...(this.#slots.get(slot)?.tasks ?? [])]);
  }
}
