import { DomainError, type FieldViolation } from '../../errors/domain-error.ts';
import type { Reason } from '../../errors/reason.ts';
import type { Lease, RequestIdentity } from '../engine.ts';
import type { CollectionSettings, Durability, Precondition, RemovalCause } from '../types.ts';

/** One step of a commit, applied in order. */
export type Operation =
  | {
      readonly kind: 'put';
      readonly collection: string;
      readonly key: string;
      readonly body: string;
      readonly expiresAtMs: number | undefined;
      readonly precondition: Precondition | undefined;
      readonly isUpdate: boolean;
    }
  | {
      readonly kind: 'delete';
      readonly collection: string;
      readonly key: string;
      readonly precondition: Precondition | undefined;
      readonly cause: RemovalCause | undefined;
    }
  | {
      readonly kind: 'require';
      readonly collection: string;
      readonly key: string;
      readonly precondition: Precondition;
    }
  | {
      readonly kind: 'createCollection' | 'configureCollection';
      readonly collection: string;
      readonly settings: CollectionSettings;
    }
  | {
      readonly kind: 'dropCollection' | 'clearCollection';
      readonly collection: string;
      readonly cause: RemovalCause | undefined;
    };

/** A document as the callback saw it; sequence 0 means that it did not exist. */
export interface SeenDocument {
  readonly collection: string;
  readonly key: string;
  readonly sequence: number;
}

/** A collection as the callback saw it; revision 0 means that it did not exist. */
export interface SeenCollection {
  readonly collection: string;
  readonly revision: number;
  /** When something was last put into it; undefined: whenever. */
  readonly lastPutAtMs: number | undefined;
}

/** One transaction, ready to commit. */
export interface CommitRequest {
  readonly durability: Durability;
  readonly request: RequestIdentity | undefined;
  /** What another node must not have taken meanwhile. */
  readonly lease: Lease | undefined;
  /** The callback's value as JSON text, remembered with `request`. */
  readonly value: string | undefined;
  readonly seen: readonly SeenDocument[];
  readonly seenCollections: readonly SeenCollection[];
  readonly operations: readonly Operation[];
}

/** What happened to one document. */
export interface WrittenDocument {
  readonly collection: string;
  readonly key: string;
  readonly kind: 'put' | 'delete';
  readonly created: boolean;
  readonly existed: boolean;
  readonly version: number;
  readonly sequence: number;
  readonly createdSequence: number;
  readonly createdAtMs: number;
}

/** What is remembered of a transaction with a request id. */
export interface Answer {
  readonly value: string | undefined;
  readonly writes: readonly WrittenDocument[];
  readonly sequence: number;
  readonly timestampMs: number;
  readonly durability: Durability;
}

/** A DomainError that can be copied between threads. */
export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  /** What led here, for the log; never for the client. */
  readonly detail: string;
}

/** How one transaction ended. */
export type CommitOutcome =
  | { readonly kind: 'committed'; readonly answer: Answer }
  | { readonly kind: 'replayed'; readonly answer: Answer }
  | { readonly kind: 'changed' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Turns a DomainError into what may cross a thread. */
export function refusalOf(error: DomainError): Refusal {
  return {
    reason: error.reason,
    message: error.message,
    metadata: error.metadata,
    violations: error.violations,
    retryAfterMs: error.retryAfterMs,
    detail: error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : '',
  };
}

/** The DomainError that a refusal stands for. */
export function toError(refusal: Refusal): DomainError {
  const { metadata, violations, retryAfterMs, detail } = refusal;
  return new DomainError(refusal.reason, refusal.message, {
    ...{ metadata, violations },
    ...(detail === '' ? {} : { cause: new Error(detail) }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
