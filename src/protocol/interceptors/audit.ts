import { getOption, hasOption, type DescMethod, type Message } from '@bufbuild/protobuf';

import { audit as auditRule, type AuditRule } from '../../../gen/molten/v1/options_pb.ts';
import type { Audit } from '../../domain/audit/audit.ts';
import type { AuditEntry } from '../../domain/audit/record.ts';
import { invariant } from '../../errors/invariant.ts';
import { isAboutCredential, type Reason } from '../../errors/reason.ts';
import type { Call, CallInterceptor, CallResult } from '../call.ts';
import { nameOf } from '../dispatcher.ts';
import { noteOf, toWireError } from '../mapping/error.ts';
import { isStream, watchEnd } from './stream.ts';

/** The three places at which calls are looked at. Of one call at most one refusal is recorded. */
export interface AuditInterceptors {
  /** Inside the translation of errors: notes who was refused before anybody was known. */
  readonly refusals: CallInterceptor;
  /** Inside authentication: notes who was refused when it was known who calls, also in a stream. */
  readonly denials: CallInterceptor;
  /** Next to the service: records what its RPC declares, before the answer. */
  readonly actions: CallInterceptor;
}

/** What of the log the interceptors use. */
export type AuditLog = Pick<Audit, 'record' | 'note'>;

/** The action under which refusals are recorded. */
const DENIED = 'access.denied';

/**
 * Records calls in the audit log. A refusal is noted and held up by nothing; what an RPC declares by the
 * option `audit` is on disk before its caller hears of success. When it cannot be recorded, the call fails.
 */
export function createAuditInterceptors(audit: AuditLog): AuditInterceptors {
  // Errors that were recorded on their way out.
  const recorded = new WeakSet();
  const noteDenial = (call: Call, error: unknown): void => {
    const { reason } = toWireError(error);
    if (!isDenial(reason) || isRecorded(recorded, error)) return;
    audit.note({
      ...{ ...originOf(call), action: DENIED, result: 'denied', reason, details: clientOf(call) },
      resource: nameOf(call.method),
    });
  };
  return {
    refusals: (next) => async (call) => {
      try {
        return await next(call);
      } catch (error) {
        noteDenial(call, error);
        throw error;
      }
    },
    denials: (next) => async (call) => {
      const failed = (error: unknown): unknown => {
        noteDenial(call, error);
        return error;
      };
      try {
        const result = await next(call);
        return isStream(result) ? watchEnd(result, { failed }) : result;
      } catch (error) {
        throw failed(error);
      }
    },
    actions: createActions(audit, recorded),
  };
}

/** Marks an error; true when it was marked before. */
function isRecorded(recorded: WeakSet<object>, error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  if (recorded.has(error)) return true;
  recorded.add(error);
  return false;
}

function isDenial(reason: Reason): boolean {
  return isAboutCredential(reason) || reason === 'SCOPE_MISSING' || reason === 'RATE_LIMITED';
}

/** The user on whose authority it is done: a client may be called as anybody. */
function originOf({ principal, origin }: Call): Partial<AuditEntry> {
  const { address, requestId } = origin;
  const { user = principal.subject, impersonator = '' } = principal.credential ?? {};
  return { actor: user, impersonator, credentialId: principal.tokenId, address, requestId };
}

/** The client that a token was made for, when it is not the user itself. */
function clientOf({ principal }: Call): Record<string, string> {
  const isClient = principal.credential?.kind === 'delegated';
  return isClient ? { client: principal.subject } : {};
}

function createActions(audit: AuditLog, recorded: WeakSet<object>): CallInterceptor {
  const rules = new Map<DescMethod, Describe | undefined>();
  return (next) => async (call) => {
    const { method } = call;
    if (!rules.has(method)) rules.set(method, compileRule(method));
    const describe = rules.get(method);
    if (describe === undefined) return await next(call);
    const failed = (error: unknown): unknown => {
      const { reason, metadata } = toWireError(error);
      const result = isDenial(reason) ? 'denied' : 'failure';
      if (isRecorded(recorded, error)) return error;
      // Who could not sign in is known by a challenge, of which the request says nothing.
      const { user } = metadata;
      const who = call.principal.kind === 'anonymous' && user !== undefined ? { actor: user } : {};
      const described = describe(call);
      const details = { ...described.details, ...noteOf(error) };
      audit.note({ ...described, ...who, result, reason, details });
      return error;
    };
    const succeeded = async (answer?: Message): Promise<void> => {
      await audit.record({ ...describe(call, answer), result: 'success' });
    };
    try {
      return await run(next, call, { isInAdvance: describe.isInAdvance, succeeded, failed });
    } catch (error) {
      throw failed(error);
    }
  };
}

interface Ends {
  readonly isInAdvance: boolean;
  readonly succeeded: (answer?: Message) => Promise<void>;
  readonly failed: (error: unknown) => unknown;
}

async function run(
  next: (call: Call) => Promise<CallResult>,
  call: Call,
  { isInAdvance, succeeded, failed }: Ends,
): Promise<CallResult> {
  if (isInAdvance) await succeeded();
  const result = await next(call);
  if (isStream(result)) return watchEnd(recordedStream(result, succeeded), { failed });
  if (!isInAdvance) await succeeded(result);
  return result;
}

/** The same messages; that they were asked for is recorded before the first is sent. */
async function* recordedStream(
  results: AsyncIterable<Message>,
  succeeded: () => Promise<void>,
): AsyncIterable<Message> {
  let isFirst = true;
  for await (const result of results) {
    if (isFirst) await succeeded();
    isFirst = false;
    yield result;
  }
  if (isFirst) await succeeded();
}

/** Says what a call is, for its record. */
interface Describe {
  (call: Call, answer?: Message): Omit<AuditEntry, 'result'>;
  readonly isInAdvance: boolean;
}

/** Compiles what an RPC declares; undefined when it declares nothing. */
export function compileRule(method: DescMethod): Describe | undefined {
  if (!hasOption(method, auditRule)) return undefined;
  const rule = getOption(method, auditRule);
  invariant(rule.action !== '', `${nameOf(method)} records an action without a name`);
  const resourceOf = rule.resourceField === '' ? () => '' : reader(method, rule.resourceField);
  const readDetails = rule.detailFields.map((name) => [name, reader(method, name)] as const);
  const describe = (call: Call, answer?: Message): Omit<AuditEntry, 'result'> => {
    const origin = originOf(call);
    const resource = resourceOf(call.request);
    const details = readDetails.map(([name, read]) => [name, read(call.request)] as const);
    return {
      ...{ ...origin, action: rule.action, resource },
      // Who signs in is nobody yet.
      ...(call.principal.kind === 'anonymous' ? { actor: signedInOf(answer) ?? resource } : {}),
      details: { ...clientOf(call), ...Object.fromEntries(details), ...made(rule, answer) },
    };
  };
  return Object.assign(describe, { isInAdvance: rule.inAdvance });
}

/** Reads a field by its name in the proto. A field that is declared a secret is refused. */
function reader(method: DescMethod, name: string): (request: Message) => string {
  const field = method.input.fields.find((one) => one.name === name);
  invariant(field !== undefined, `${nameOf(method)} has no field ${name} to record`);
  const isSecret = field.proto.options?.debugRedact === true;
  invariant(!isSecret, `${nameOf(method)} would record ${name}, which is secret`);
  const { localName } = field;
  if (field.fieldKind === 'enum') {
    const names = field.enum.value;
    return (request) => names[Number((request as unknown as Fields)[localName])]?.localName ?? '';
  }
  return (request) => textOf((request as unknown as Fields)[localName]);
}

type Fields = Readonly<Record<string, unknown>>;

/** Texts and numbers as they are, lists of texts with spaces; of a TextList its values. Anything else is nothing. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value))
    return value.every((one) => typeof one === 'string') ? value.join(' ') : '';
  const isList = typeof value === 'object' && value !== null && 'values' in value;
  return isList ? textOf(value.values) : '';
}

/** Who a call has signed in; undefined: nobody yet. */
function signedInOf(answer: Message | undefined): string | undefined {
  const { login, principal } = (answer ?? {}) as Fields;
  const signedIn = (principal ?? (login as Fields | undefined)?.['principal']) as
    Fields | undefined;
  const user = signedIn?.['user'];
  return typeof user === 'string' && user !== '' ? user : undefined;
}

/** The ids of what a call has made: a token, an API key; and that a login still asks for a code. */
function made({ issuesToken }: AuditRule, answer: Message | undefined): Record<string, string> {
  const { principal, login, apiKey, challenge } = (answer ?? {}) as Fields;
  const isAsked = [challenge, (login as Fields | undefined)?.['challenge']].some(Boolean);
  const tokenId = issuesToken ? (principal as Fields | undefined)?.['tokenId'] : undefined;
  const keyId = (apiKey as Fields | undefined)?.['apiKeyId'];
  return {
    ...(typeof tokenId === 'string' ? { tokenId } : {}),
    ...(typeof keyId === 'string' ? { apiKeyId: keyId } : {}),
    ...(isAsked ? { challenged: 'true' } : {}),
  };
}
