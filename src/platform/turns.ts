/** Runs tasks of one key one after the other, in the order they came; those of other keys beside them. */
export interface Turns {
  run<T>(key: string, task: () => Promise<T>): Promise<T>;
}

/** Creates turns; `tooMany` makes the error for a task that would be more than `waitingMax` to wait. */
export function createTurns(waitingMax: number, tooMany: () => Error): Turns {
  const lines = new Map<string, { last: Promise<unknown>; count: number }>();
  return {
    async run(key, task) {
      const line = lines.get(key) ?? { last: Promise.resolve(), count: 0 };
      if (line.count > waitingMax) throw tooMany();
      lines.set(key, line);
      line.count += 1;
      const turn = line.last.then(task, task);
      line.last = turn.catch(() => undefined);
      try {
        return await turn;
      } finally {
        line.count -= 1;
        if (line.count === 0) lines.delete(key);
      }
    },
  };
}
