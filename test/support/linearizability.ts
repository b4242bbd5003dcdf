/**
 * Decides whether concurrent operations on one document could have happened one after the other, each at a
 * moment between its call and its answer (Herlihy and Wing). The search is that of Wing and Gong with
 * Lowe's memory of states seen, as in porcupine.
 */

/** One operation on the document, as its client saw it. */
export interface ObservedOperation {
  readonly callMs: number;
  /** Infinity when no answer came: it may have happened at any time since, or not at all. */
  readonly answerMs: number;
  readonly kind: 'read' | 'write' | 'swap';
  /** What a swap demanded; 0: the document does not exist. */
  readonly expected?: bigint;
  /** What was written. */
  readonly value?: number;
  /** What was answered: the state that a read saw or a write made; undefined for a swap that was refused. */
  readonly result?: DocumentState | undefined;
}

/** A document: version 0 does not exist. */
export interface DocumentState {
  readonly version: bigint;
  readonly value: number | undefined;
}

const NOTHING: DocumentState = { version: 0n, value: undefined };

/** Reports whether some order explains all answers. */
export function isLinearizable(operations: readonly ObservedOperation[]): boolean {
  const sorted = operations.toSorted((a, b) => a.callMs - b.callMs);
  const isAnswered = sorted.map(({ answerMs }) => answerMs !== Infinity);
  const seen = new Set<string>();

  function search(done: readonly boolean[], state: DocumentState): boolean {
    if (isAnswered.every((answered, at) => !answered || done[at] === true)) return true;
    const name = `${done.map(Number).join('')} ${String(state.version)} ${String(state.value)}`;
    if (seen.has(name)) return false;
    seen.add(name);
    const open = sorted.flatMap((operation, at) => (done[at] === true ? [] : [{ operation, at }]));
    const firstAnswerMs = Math.min(...open.map(({ operation }) => operation.answerMs));
    return open
      .filter(({ operation }) => operation.callMs <= firstAnswerMs)
      .some(({ operation, at }) =>
        nextStates(operation, state).some((next) => search(done.with(at, true), next)),
      );
  }

  return search(
    sorted.map(() => false),
    NOTHING,
  );
}

/** The states an operation may lead to from a state; none when its answer does not fit. */
function nextStates(operation: ObservedOperation, state: DocumentState): readonly DocumentState[] {
  const { kind, value, result, answerMs } = operation;
  const written: DocumentState = { version: state.version + 1n, value };
  if (kind === 'read') return isSame(result, state) ? [state] : [];
  const fits = kind === 'write' || operation.expected === state.version;
  if (answerMs === Infinity) return fits ? [written, state] : [state];
  if (!fits) return result === undefined ? [state] : [];
  return isSame(result, written) ? [written] : [];
}

function isSame(a: DocumentState | undefined, b: DocumentState): boolean {
  return a?.version === b.version && a.value === b.value;
}
