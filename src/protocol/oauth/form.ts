import { OAuthError } from './refusal.ts';

/** What is sent to an endpoint that takes a token. */
export interface TokenForm {
  readonly token: string;
}

/**
 * Reads the form of RFC 7662 section 2.1 and RFC 7009 section 2.1. A parameter without a value counts as
 * not sent, none may come twice (RFC 6749 section 3.2), and unknown ones are left aside. The hint is not
 * needed: what a token is shows in its form.
 */
export function parseTokenForm(body: unknown, query: unknown): TokenForm {
  if (Object.hasOwn(query as object, 'token')) {
    throw new OAuthError('invalid_request', 'send the token in the body, never in the URL');
  }
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : '';
  const form = new URLSearchParams(text);
  if (new Set(form.keys()).size !== form.size) {
    throw new OAuthError('invalid_request', 'a parameter is sent twice');
  }
  const token = form.get('token') ?? '';
  if (token === '') throw new OAuthError('invalid_request', 'the parameter token is missing');
  return { token };
}
