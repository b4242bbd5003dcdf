import type { RequestIdentity } from '../../storage/engine.ts';
import type { Filter } from '../../storage/query/filter.ts';
import type { Durability, Precondition } from '../../storage/types.ts';
import type { Principal } from '../access/principal.ts';
import type { Action } from '../access/scope.ts';
import type { Extension } from '../query/join.ts';
import type { DocumentBody } from './body.ts';
import type { DocumentChange } from './change.ts';

/** A body to write, and what is copied into it. */
export interface BodyToWrite {
  readonly body: DocumentBody;
  readonly extensions: readonly Extension[];
}

/** What becomes of an update of a document that does not exist. */
export type MissingPolicy = 'fail' | 'skip' | 'create';

/** One write of one document. */
export type WriteStep =
  | {
      readonly kind: 'set';
      readonly collection: string;
      readonly key: string;
      readonly content: BodyToWrite;
      readonly precondition: Precondition | undefined;
    }
  | {
      readonly kind: 'update';
      readonly collection: string;
      readonly key: string;
      readonly change: DocumentChange;
      readonly missing: MissingPolicy;
      readonly precondition: Precondition | undefined;
    }
  | {
      readonly kind: 'delete';
      readonly collection: string;
      readonly key: string;
      readonly precondition: Precondition | undefined;
    };

/** One comparison of a transaction. */
export interface Comparison {
  readonly collection: string;
  readonly key: string;
  readonly condition:
    | { readonly kind: 'exists'; readonly exists: boolean }
    /** 0: the document does not exist. */
    | { readonly kind: 'version'; readonly version: bigint }
    | { readonly kind: 'matches'; readonly filter: Filter };
}

/** Who writes, and how surely. */
export interface WriteContext {
  readonly principal: Principal;
  readonly signal: AbortSignal;
  readonly durability: Durability;
  /** Makes a retry safe. */
  readonly request: RequestIdentity | undefined;
  /** Check everything, write nothing. */
  readonly validateOnly: boolean;
}

/** The action that a step needs on its key. */
export function actionOf(step: WriteStep): Action {
  return step.kind === 'delete' ? 'delete' : 'write';
}
