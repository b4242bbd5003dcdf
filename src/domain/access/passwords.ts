import { availableParallelism } from 'node:os';

import { argon2id, hash, needsRehash, verify } from 'argon2';

import { DomainError } from '../../errors/domain-error.ts';
import { createGate } from '../../platform/gate.ts';

/** Hashes and checks passwords with Argon2id (RFC 9106). */
export interface Passwords {
  hash(password: string): Promise<string>;
  /**
   * Reports whether the password belongs to the hash. Without a hash it does the same work and says no,
   * so that an unknown user takes as long as a wrong password.
   */
  verify(hash: string | undefined, password: string, asker?: Asker): Promise<boolean>;
  /** The hash was made with weaker parameters than today's. */
  isOutdated(hash: string): boolean;
  /** What is being hashed, and what waits for it. */
  load(): { readonly running: number; readonly waiting: number };
}

/**
 * Whose password it is, as far as that is known before it is looked at: `known` has signed in, or did so from
 * the same address; a `stranger` may be anybody. They wait apart and are served in turn, so that a flood of
 * logins from everywhere keeps nobody out who was here before.
 */
export type Asker = 'known' | 'stranger';

/** The cost of a hash: memory in KiB, passes, lanes. */
export interface PasswordCost {
  readonly memoryKibibytes: number;
  readonly passes: number;
  readonly lanes: number;
}

/** The second of OWASP's equivalent settings: 19 MiB, 2 passes, 1 lane. */
export const PASSWORD_COST: PasswordCost = { memoryKibibytes: 19_456, passes: 2, lanes: 1 };

/** Hashes computed at once: each takes a core for tens of milliseconds, and one is left for calls. */
const RUNNING_MAX = Math.max(1, Math.min(availableParallelism() - 1, 8));
/** Hashes that may wait, for each kind of asker; more are refused, so that they cannot fill the memory. */
const WAITING_MAX = 64;
const RETRY_AFTER_MS = 1000;

/** Creates the hasher of a process. RATE_LIMITED when too many hashes wait. */
export function createPasswords(cost: PasswordCost = PASSWORD_COST): Passwords {
  const options = {
    type: argon2id,
    memoryCost: cost.memoryKibibytes,
    timeCost: cost.passes,
    parallelism: cost.lanes,
  } as const;
  const gate = createGate({ runningMax: RUNNING_MAX, waitingMax: WAITING_MAX, tooMany });
  const decoy = hash('the password of nobody', options);
  return {
    hash: (password) => gate.run(() => hash(password, options), { lane: 'known' }),
    async verify(known, password, asker = 'known') {
      const check = async (): Promise<boolean> => {
        const matches = await verify(known ?? (await decoy), password);
        return matches && known !== undefined;
      };
      return await gate.run(check, { lane: asker });
    },
    isOutdated: (known) => needsRehash(known, options),
    load: () => gate.load(),
  };
}

function tooMany(): DomainError {
  return new DomainError('RATE_LIMITED', 'too many logins at once; try again in a second', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
