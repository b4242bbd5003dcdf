import { randomSecret } from '../../platform/secrets.ts';

const RANDOM_BYTES = 16;
const SEPARATOR = '.';
const ID = /^[A-Za-z0-9-]{1,64}\.[A-Za-z0-9_-]{22}$/;

/** A new id of a session of this user. */
export function makeSessionId(userId: string): string {
  return `${sessionPrefixOf(userId)}${randomSecret(RANDOM_BYTES)}`;
}

/** What the ids of all sessions of a user start with. */
export function sessionPrefixOf(userId: string): string {
  return `${userId}${SEPARATOR}`;
}

/** Reports whether a text has the form of an id, so that it is the start of no other. */
export function isSessionId(text: string): boolean {
  return ID.test(text);
}

/** The user whose sign-in a session is, who may not be the one that a token of it speaks for. */
export function userIdOf(sessionId: string): string {
  return sessionId.split(SEPARATOR, 1)[0] ?? '';
}
