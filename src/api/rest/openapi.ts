import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { TSchema } from 'typebox'
import { Type } from 'typebox'

/** The groups of calls. */
const TAGS = {
  tokens: 'personal access tokens',
  impersonation: 'tokens by which an administrator acts as an account',
  users: 'accounts',
  instance: 'the version and the settings',
  projects: 'repositories and their protected branches',
  rights: "grants and protected refs: gitgate's own, for administrators",
  audit: 'the audit log and its verification: an addition of gitgate, for administrators',
} as const

const ErrorBody = Type.Object(
  {
    message: Type.Optional(Type.Unknown({ description: 'a text such as `404 Not Found`, or texts by field' })),
    error: Type.Optional(Type.String({ description: 'what is wrong with parameters, the path or the token' })),
    error_description: Type.Optional(Type.String()),
    scope: Type.Optional(Type.String({ description: 'scopes any of which would be enough' })),
  },
  { description: 'refused' },
)

/** Describes a response; it doesn't change what is sent. */
export function answers(schema: TSchema, status = 200): Readonly<Record<string, TSchema>> {
  return { [status]: schema, '4xx': ErrorBody }
}

/** An empty response. */
export const nothing = answers(Type.Null({ description: 'done' }), 204)

/** A response that is a list. */
export function listOf(schema: TSchema): TSchema {
  return Type.Array(schema, { description: 'one page; Link and X-… headers tell of the others' })
}

/** The introduction above the calls. */
export function openApiOf(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'gitgate',
        version,
        description: "GitLab's REST API for personal access tokens, accounts and policies, and gitgate's additions.",
      },
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          token: { type: 'apiKey', in: 'header', name: 'PRIVATE-TOKEN' },
          bearer: { type: 'http', scheme: 'bearer' },
        },
      },
      security: [{ token: [] }, { bearer: [] }],
    },
  }
}
