import { ROOT, type TestResponse, type TestServer } from '../../support/server.ts';

/** A password that every policy takes. */
export const PASSWORD = 'correct-horse-battery-staple';

/** What a test makes a user with. */
export interface UserParts {
  readonly roles?: readonly string[];
  readonly scopes?: readonly string[];
  readonly password?: string;
}

/** Makes a user as the root user; fails when that is refused. */
export async function makeUser(
  server: TestServer,
  name: string,
  { roles = [], scopes = [], password = PASSWORD }: UserParts = {},
): Promise<void> {
  const answer = await server.asRoot('POST', '/v1/users', { name, password, roles, scopes });
  if (answer.status !== 200) throw new Error(answer.text);
}

/** Logs in; the answer, whatever it is. */
export async function tryLogin(
  server: TestServer,
  username: string,
  password: string = PASSWORD,
): Promise<TestResponse> {
  return await server.request('POST', '/v1/sessions', { body: { username, password } });
}

/** A session of a user. */
export interface Signed {
  readonly token: string;
  readonly refreshToken: string;
  readonly sessionId: string;
}

/** Logs in; fails when that is refused. */
export async function login(
  server: TestServer,
  username: string,
  password: string = PASSWORD,
): Promise<Signed> {
  const { status, body, text } = await tryLogin(server, username, password);
  if (status !== 200) throw new Error(text);
  return {
    token: String(body.token),
    refreshToken: String(body.refreshToken),
    sessionId: String(body.principal.sessionId),
  };
}

/** Logs in as the root user. */
export async function loginAsRoot(server: TestServer): Promise<Signed> {
  return await login(server, ROOT.username, ROOT.password);
}

/** A delegated token and its id. */
export interface Delegated {
  readonly token: string;
  readonly tokenId: string;
}

/** Delegates; fails when that is refused. */
export async function delegate(
  server: TestServer,
  token: string,
  asked: readonly string[] | { readonly scopes: readonly string[]; readonly clientId: string },
): Promise<Delegated> {
  const body = 'clientId' in asked ? asked : { clientId: 'a-client', scopes: asked };
  const answer = await server.request('POST', '/v1/tokens', { token, body });
  if (answer.status !== 200) throw new Error(answer.text);
  return { token: String(answer.body.token), tokenId: String(answer.body.principal.tokenId) };
}

/** An API key and its text. */
export interface MadeKey {
  readonly id: string;
  readonly text: string;
}

/** Makes an API key; fails when that is refused. */
export async function makeKey(server: TestServer, token: string, body: object): Promise<MadeKey> {
  const { status, body: made, text } = await server.request('POST', '/v1/apiKeys', { token, body });
  if (status !== 200) throw new Error(text);
  return { id: String(made.apiKey.apiKeyId), text: String(made.text) };
}

/** How a call by a credential ends: its status, and the reason when it is refused. */
export async function whoAmI(server: TestServer, token: string): Promise<string> {
  const answer = await server.request('GET', '/v1/sessions/current', { token });
  return answer.status === 200 ? 'taken' : String(answer.body.reason);
}

/** Reads the document `k` of a collection; how it ends. */
export async function read(server: TestServer, token: string, collection = 'c'): Promise<string> {
  const path = `/v1/collections/${collection}/documents/k`;
  const answer = await server.request('GET', path, { token });
  return answer.status === 200 ? 'taken' : String(answer.body.reason);
}
