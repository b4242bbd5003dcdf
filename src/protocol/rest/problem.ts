import type { FastifyReply, FastifyRequest } from '../http/door.ts';
import { retryAfterOf, toProblem } from '../mapping/error.ts';

const PROBLEM = 'application/problem+json';

/** Answers with an error as RFC 9457 has it. */
export async function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): Promise<FastifyReply> {
  const problem = toProblem(error, request.id);
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  if (problem.reason.startsWith('CREDENTIAL_')) reply.header('www-authenticate', 'Bearer');
  return await reply.code(problem.status).type(PROBLEM).send(JSON.stringify(problem));
}
