import type { Token } from '../../gen/molten/v1/tokens_pb.ts';
import { toText } from './table.ts';
import { isoOf } from './times.ts';

/** A token and what was delegated with it. */
export interface TokenNode {
  readonly token: Token;
  readonly children: readonly TokenNode[];
}

/** A user, or an API key, and the tokens that came from it. */
export interface TokenRoot {
  readonly user: string;
  /** Empty: sign-ins. */
  readonly apiKey: string;
  readonly tokens: readonly TokenNode[];
}

/** Puts delegations below what they came from. What came from elsewhere is a root. */
export function buildTokenTree(tokens: readonly Token[]): readonly TokenRoot[] {
  const ids = new Set(tokens.map(({ tokenId }) => tokenId));
  const childrenOf = Map.groupBy(tokens, ({ parentId }) => parentId);
  const nodeOf = (token: Token): TokenNode => ({
    token,
    children: (childrenOf.get(token.tokenId) ?? []).map(nodeOf),
  });
  const tops = tokens.filter(({ parentId }) => !ids.has(parentId));
  const groups = Map.groupBy(tops, ({ user, parentId }) => `${user} ${parentId}`);
  return [...groups.values()].map((group) => ({
    user: group[0]?.user ?? '',
    apiKey: group[0]?.parentId ?? '',
    tokens: group.map(nodeOf),
  }));
}

/** The lines of a tree, for people. */
export function formatTokenTree(roots: readonly TokenRoot[]): string {
  return roots.flatMap((root) => [titleOf(root), ...linesOf(root.tokens, '')]).join('\n');
}

function titleOf({ user, apiKey }: TokenRoot): string {
  return toText(apiKey === '' ? user : `${user}, through ${apiKey}`);
}

function linesOf(nodes: readonly TokenNode[], indent: string): readonly string[] {
  return nodes.flatMap(({ token, children }, at) => {
    const isLast = at === nodes.length - 1;
    const below = linesOf(children, `${indent}${isLast ? '   ' : '│  '}`);
    return [`${indent}${isLast ? '└─ ' : '├─ '}${describe(token)}`, ...below];
  });
}

function describe({ clientId, scopes, expireTime, revoked, tokenId }: Token): string {
  const end = revoked ? 'revoked' : `until ${isoOf(expireTime) ?? ''}`;
  return toText(`${clientId}  ${scopes.join(' ')}  ${end}  ${tokenId}`);
}
