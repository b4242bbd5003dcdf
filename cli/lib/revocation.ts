import { create } from '@bufbuild/protobuf';
import { timestampFromMs, type Timestamp } from '@bufbuild/protobuf/wkt';
import { Flags, type Interfaces } from '@oclif/core';

import {
  RevocationImpactSchema,
  RevocationKind,
  type RevocationImpact,
} from '../../gen/molten/v1/tokens_pb.ts';
import type { MoltenClient } from '../../src/client/client.ts';
import { MoltenError } from '../../src/client/molten-error.ts';
import { momentIn, usageError } from './input.ts';
import type { AnyFlags } from './secrets.ts';
import { listTokens } from './tokens.ts';

/** What goes together, and what it is called. */
export interface RevocationTarget {
  readonly kind: RevocationKind;
  readonly id: string;
  /** For people: `everything of alice`. */
  readonly name: string;
  /** Only what was made before. */
  readonly beforeTime?: Timestamp;
}

/** The flags that name more than one token. */
export const targetFlags: Interfaces.FlagInput = {
  user: Flags.string({ description: 'Everything that this user holds or has delegated.' }),
  'user-sessions': Flags.string({ description: 'Every session of this user.' }),
  client: Flags.string({ description: 'Every token made for this client.' }),
  session: Flags.string({
    description: 'One session, by its id, and everything delegated with it.',
  }),
  'signing-key': Flags.string({ description: 'Everything signed with this key.' }),
  all: Flags.boolean({
    description: 'All sessions, tokens and API keys, your own included.',
  }),
};

const KINDS = {
  token: [RevocationKind.TOKEN, (id) => `token ${id}`],
  user: [RevocationKind.USER, (id) => `everything of user ${id}`],
  'user-sessions': [RevocationKind.USER_SESSIONS, (id) => `every session of user ${id}`],
  client: [RevocationKind.CLIENT, (id) => `every token of client ${id}`],
  session: [RevocationKind.SESSION, (id) => `session ${id}`],
  'signing-key': [RevocationKind.SIGNING_KEY, (id) => `everything signed with key ${id}`],
} satisfies Record<string, readonly [RevocationKind, (id: string) => string]>;

/** Narrows what many fall with. */
export const beforeFlag: Interfaces.FlagInput = {
  before: Flags.string({
    description:
      'Only what was made before this moment: Unix milliseconds, or RFC 3339. For users, their sessions, clients and --all.',
  }),
};

/** What the argument and the flags name: exactly one of them. */
export function targetOf(token: string | undefined, flags: AnyFlags): RevocationTarget {
  const named = namedBy(token, flags);
  const { before } = flags;
  if (typeof before !== 'string') return named;
  return { ...named, beforeTime: timestampFromMs(momentIn(before, '--before')) };
}

function namedBy(token: string | undefined, flags: AnyFlags): RevocationTarget {
  const given: AnyFlags = { ...flags, token };
  const named = Object.entries(KINDS).flatMap(([flag, [kind, nameOf]]) => {
    const id = given[flag];
    return typeof id === 'string' ? [{ kind, id, name: nameOf(id) }] : [];
  });
  const all = { kind: RevocationKind.ALL, id: '', name: 'everything' };
  const [target, ...others] = flags['all'] === true ? [...named, all] : named;
  if (target !== undefined && others.length === 0) return target;
  throw usageError(`name the id of one token, or give one of --${FLAG_NAMES.join(', --')}`);
}

const FLAG_NAMES = Object.keys(targetFlags);

/** What a revocation takes down, as far as the caller may know it; undefined: it may not. */
export async function previewRevocation(
  client: Pick<MoltenClient, 'auth' | 'tokens'>,
  target: RevocationTarget,
): Promise<RevocationImpact | undefined> {
  const { kind, id } = target;
  const { principal } = await client.auth.whoAmI({});
  const mayPreview = principal?.scopes.some((scope) => CONTROLS.includes(scope)) === true;
  if (mayPreview) return (await client.tokens.previewRevocation(requestOf(target))).impact;
  return kind === RevocationKind.TOKEN ? await countBelow(client, id) : undefined;
}

/** The request for a target. */
export function requestOf({ kind, id, beforeTime }: RevocationTarget): {
  readonly kind: RevocationKind;
  readonly id: string;
  readonly beforeTime?: Timestamp;
} {
  return { kind, id, ...(beforeTime && { beforeTime }) };
}

/** The scopes that preview, so that nobody else's attempt is recorded as a refusal. */
const CONTROLS: readonly string[] = ['tokens:*:*', '*:*:*'];

/** What the caller has delegated itself it may list. */
async function countBelow(
  client: Pick<MoltenClient, 'tokens'>,
  parentId: string,
): Promise<RevocationImpact | undefined> {
  try {
    const found = await listTokens(client, parentId);
    const clients = [...new Set(found.map(({ clientId }) => clientId))].sort();
    return create(RevocationImpactSchema, { tokens: BigInt(found.length), clients });
  } catch (error) {
    // A session is in no list, and may be revoked all the same.
    if (error instanceof MoltenError && error.reason === 'TOKEN_NOT_FOUND') return undefined;
    throw error;
  }
}
