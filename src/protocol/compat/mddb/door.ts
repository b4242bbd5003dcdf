/**
 * The routes of MDDB below `/v1/auth`, over UserService, ApiKeyService and AuthService.
 * `docs/reference/mddb-compatibility.md` lists where this answers differently on purpose.
 */
import { DomainError } from '../../../errors/domain-error.ts';
import type { Clock } from '../../../platform/clock.ts';
import { createTurns } from '../../../platform/turns.ts';
import type { Dispatcher } from '../../dispatcher.ts';
import type { Door } from '../../http/door.ts';
import { createCompatDoor } from '../routes.ts';
import { apiKeyRoutes } from './api-keys.ts';
import { groupRoutes } from './groups.ts';
import { refuse } from './refusal.ts';
import { sessionRoutes } from './session.ts';
import { userRoutes, type Serially } from './users.ts';

/** What the door needs. */
export interface MddbDoorOptions {
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
}

/** Creates the door of MDDB. */
export function createMddbDoor({ dispatcher, clock }: MddbDoorOptions): Door {
  const serially = createSerially();
  const routes = [
    ...sessionRoutes,
    ...userRoutes(serially),
    ...apiKeyRoutes(clock),
    ...groupRoutes(serially),
  ];
  return createCompatDoor({ dispatcher, dialect: { routes, refuse } });
}

/** Changes that may wait for their turn. */
const WAITING_MAX = 1000;

function createSerially(): Serially {
  const turns = createTurns(WAITING_MAX, tooMany);
  return (change) => turns.run('', change);
}

function tooMany(): DomainError {
  const limit = String(WAITING_MAX);
  const message = `${limit} changes of users and groups wait already; try again when they are made`;
  return new DomainError('QUOTA_EXCEEDED', message, { metadata: { limit } });
}
