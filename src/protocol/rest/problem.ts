import type { DomainError } from '../../errors/domain-error.ts';
import { isAboutCredential } from '../../errors/reason.ts';
import type { BriefWords, FastifyReply, FastifyRequest } from '../http/door.ts';
import { HttpRefusal } from '../http/refusal.ts';
import { setRetryAfter } from '../http/retry-after.ts';
import { toProblem, toWireError } from '../mapping/error.ts';

const PROBLEM = 'application/problem+json';

/** Answers with an error as RFC 9457 has it. */
export async function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: unknown,
): Promise<FastifyReply> {
  const known = toProblem(error, request.id);
  const problem = error instanceof HttpRefusal ? { ...known, status: error.status } : known;
  const wire = toWireError(error);
  setRetryAfter(reply, wire);
  if (isAboutCredential(wire.reason)) reply.header('www-authenticate', 'Bearer');
  return await reply.code(problem.status).type(PROBLEM).send(JSON.stringify(problem));
}

/** The same, in brief. The id of the request is all that tells one from another. */
export const problemWords: BriefWords = ({ id }, refusal) => {
  const known = answers.get(refusal) ?? briefly(refusal);
  answers.set(refusal, known);
  const { status, parts } = known;
  return { status, type: BRIEF_TYPE, body: parts.join(id) };
};

/** As Fastify completes it. */
const BRIEF_TYPE = `${PROBLEM}; charset=utf-8`;
/** Stands for the id of a request, which needs no escapes in JSON. */
const ID = '{id}';

interface BriefProblem {
  readonly status: number;
  /** What stands before and behind the id. */
  readonly parts: readonly string[];
}

const answers = new WeakMap<DomainError, BriefProblem>();

function briefly(refusal: DomainError): BriefProblem {
  const problem = toProblem(refusal, ID);
  return { status: problem.status, parts: JSON.stringify(problem).split(ID) };
}
