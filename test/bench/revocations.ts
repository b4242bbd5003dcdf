/**
 * From the answer of one server to a revocation, or to a change of a role, until another server of the same store
 * refuses a call, and has ended an open watch. Roles end none: a watch tells nothing more of what it may not see.
 */
import { setTimeout as wait } from 'node:timers/promises';

import { createMoltenClient, toBody, toMoltenError } from '../../src/client/index.ts';
import { recordWatch, watchClient } from '../support/watching.ts';
import type { WatchedServer } from './watch-latency.ts';

/** How long it took, in milliseconds. */
export interface RefusalTimes {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What was taken away, beside which load, and how long it was good elsewhere. */
export interface RefusalLatency {
  readonly what: 'token' | 'role';
  readonly writers: number;
  readonly rounds: number;
  readonly call: RefusalTimes;
  /** Absent: it ends no watch. */
  readonly watch?: RefusalTimes;
}

/** Two servers of a store, and what is measured on them. */
export interface RefusalOptions {
  readonly one: WatchedServer;
  readonly other: WatchedServer;
  /** Writers beside it, spread over both. */
  readonly writers: number;
  readonly rounds: number;
}

/** A credential that is good, and what makes it good no more. */
interface Granted {
  readonly token: string;
  readonly revoke: () => Promise<unknown>;
}

const READABLE = ['read:watched:*'];
const ELSEWHERE = ['read:elsewhere:*'];
const USER = { name: 'ada', password: 'correct-horse-battery-staple' };
/** Nodes look at the log and at their watches this often; rounds begin anywhere between. */
const LOOK_MS = 250;

/** Takes away tokens and roles, again and again. */
export async function measureRefusals(options: RefusalOptions): Promise<RefusalLatency[]> {
  const { one, writers, rounds } = options;
  await one.client.documents.setDocument({ collection: 'watched', key: 'k', body: toBody({}) });
  const stop = startWriters(options);
  const latencies: RefusalLatency[] = [];
  const grants = { token: () => delegate(one), role: await createRoleGrants(options) } as const;
  for (const what of ['token', 'role'] as const) {
    const calls: number[] = [];
    const watches: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const granted = await grants[what]();
      const watch = what === 'token' ? await openWatch(options.other, granted) : undefined;
      await wait(Math.random() * LOOK_MS);
      await granted.revoke();
      const startMs = performance.now();
      while ((await reasonAt(options.other, granted.token)) === undefined);
      calls.push(performance.now() - startMs);
      if (watch !== undefined) watches.push(Math.max(0, (await watch.endedAtMs()) - startMs));
    }
    const watch = what === 'token' ? { watch: timesOf(watches) } : {};
    latencies.push({ what, writers, rounds, call: timesOf(calls), ...watch });
  }
  await stop();
  return latencies;
}

async function delegate({ client }: WatchedServer): Promise<Granted> {
  const { token, principal } = await client.auth.delegateToken({
    ...{ clientId: 'app', scopes: READABLE },
  });
  const tokenId = principal?.tokenId ?? '';
  return { token, revoke: () => client.auth.revokeToken({ tokenId }) };
}

/** One user with one role, whose scopes come and go. */
async function createRoleGrants({
  one,
  other,
  writers,
}: RefusalOptions): Promise<() => Promise<Granted>> {
  const { users } = one.client;
  const [role, name] = [`reader-${String(writers)}`, `${USER.name}-${String(writers)}`];
  await users.createRole({ name: role, scopes: READABLE });
  await users.createUser({ ...USER, name, roles: [role] });
  const { token } = await createMoltenClient({ url: one.url }).auth.login({
    ...{ username: name, password: USER.password, ttl: { seconds: 3600n } },
  });
  return async () => {
    await users.updateRole({ role, scopes: { values: READABLE } });
    while ((await reasonAt(other, token)) !== undefined) await wait(1);
    return { token, revoke: () => users.updateRole({ role, scopes: { values: ELSEWHERE } }) };
  };
}

/** A watch that a revocation ends. */
async function openWatch(
  { url }: WatchedServer,
  { token }: Granted,
): Promise<{ readonly endedAtMs: () => Promise<number> }> {
  const watch = await recordWatch(watchClient(url, token), {
    targets: [{ collection: 'watched' }],
  });
  const ended = watch.ended().then((error) => ({ error, atMs: performance.now() }));
  return {
    async endedAtMs() {
      const { error, atMs } = await ended;
      if (error?.reason !== 'CREDENTIAL_REVOKED') throw error ?? new Error('it was not refused');
      return atMs;
    },
  };
}

/** Why a read is refused; undefined: it is not. Fails with whatever is no refusal. */
async function reasonAt({ url }: WatchedServer, token: string): Promise<string | undefined> {
  const { documents } = createMoltenClient({ url, token: () => token });
  try {
    await documents.getDocument({ collection: 'watched', key: 'k' });
    return undefined;
  } catch (cause) {
    const error = toMoltenError(cause);
    if (['CREDENTIAL_REVOKED', 'SCOPE_MISSING'].includes(error.reason)) return error.reason;
    throw error;
  }
}

/** Returns what ends them. */
function startWriters({ one, other, writers }: RefusalOptions): () => Promise<void> {
  let isOver = false;
  const body = toBody({ n: 5, name: 'a document', text: 'x'.repeat(300) });
  const running = Array.from({ length: writers }, async (_, writer) => {
    const { documents } = (writer % 2 === 0 ? one : other).client;
    for (let at = 0; !isOver; at++) {
      const key = `${String(writer)}-${String(at % 1000)}`;
      await documents.setDocument({ collection: 'bench', key, body });
    }
  });
  return async () => {
    isOver = true;
    await Promise.all(running);
  };
}

function timesOf(latencies: readonly number[]): RefusalTimes {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const index = Math.min(sorted.length - 1, Math.floor(sorted.length * share));
    return Math.round((sorted[index] ?? 0) * 10) / 10;
  };
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
