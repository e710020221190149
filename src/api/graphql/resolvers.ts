import { setImmediate } from 'node:timers/promises'
import { GraphQLError } from 'graphql'
import { breaksRule } from '../../core/errors.js'
import { issueRules } from '../../domain/policies/settings.js'
import { UNLIMITED } from '../../domain/tokens/budget.js'
import { deriveToken } from '../../domain/tokens/derive.js'
import { tokenEntity, isLimited } from '../../domain/tokens/token.js'
import { parseExpiryDate } from '../../domain/tokens/expiry.js'
import { rotateToken } from '../../domain/tokens/issue.js'
import type { TokenQuery, TokenSort } from '../../domain/tokens/query.js'
import { parseRestrictions } from '../../domain/tokens/restriction.js'
import { parseScopes } from '../../domain/tokens/scope.js'
import type { PersonalAccessToken } from '../../domain/tokens/token.js'
import { versionEntity } from '../gitlab-version.js'
import type { Caller } from '../rest/caller.js'
import type { ApiOptions } from '../rest/api-options.js'
import { tomorrow } from '../rest/token-request.js'
import { parseInstant } from '../rest/parameters.js'

/** The context of the resolvers of one request. */
export type GraphqlContext = {
  readonly caller: Caller | undefined
  /** Ends with the latest search of the request. */
  searched: Promise<unknown>
}

type ListArguments = {
  search?: string
  sort?: string
  state?: 'ACTIVE' | 'INACTIVE'
  revoked?: boolean
  first?: number
  after?: string
} & Partial<Record<`${'expires' | 'created' | 'lastUsed'}${'After' | 'Before'}`, string>>

type Input<T> = { readonly input: T & { readonly clientMutationId?: string } }

const MAX_FIRST = 100
const GLOBAL_ID = /^gid:\/\/gitlab\/PersonalAccessToken\/([1-9]\d{0,14})$/

/** The root resolvers of the schema. */
export function rootOf(options: ApiOptions) {
  const { tokens, access, baseUrl } = options

  const nodeOf = async (token: PersonalAccessToken) => {
    const entity = tokenEntity(token, access.now(), (await access.settings()).enforce_pat_expiration)
    return {
      id: `gid://gitlab/PersonalAccessToken/${token.id}`,
      name: entity.name,
      description: entity.description,
      granular: isLimited(token),
      revoked: entity.revoked,
      active: entity.active,
      scopes: entity.scopes,
      repositories: entity.repositories,
      refs: entity.refs,
      lastUsedIps: entity.last_used_ips,
      lastUsedAt: entity.last_used_at,
      createdAt: entity.created_at,
      expiresAt: entity.expires_at,
    }
  }

  const list = async (userId: number, wanted: ListArguments) => {
    const { first = MAX_FIRST } = wanted
    if (first < 1) throw new GraphQLError('first must be 1 at least')
    const limit = Math.min(first, MAX_FIRST)
    const offset = cursorOffset(wanted.after)
    const bounds = (['expires', 'created', 'lastUsed'] as const).flatMap((field) =>
      (['After', 'Before'] as const).flatMap((side) => {
        const instant = instantOf(`${field}${side}`, wanted[`${field}${side}`])
        return instant === undefined ? [] : [[`${field}${side}`, instant] as const]
      }),
    )
    const query: TokenQuery = {
      ...Object.fromEntries(bounds),
      ...(wanted.search === undefined || wanted.search === '' ? {} : { search: wanted.search }),
      ...(wanted.state === undefined ? {} : { state: wanted.state === 'ACTIVE' ? 'active' : 'inactive' }),
      ...(wanted.revoked === undefined ? {} : { revoked: wanted.revoked }),
      sort: (wanted.sort ?? 'EXPIRES_ASC').toLowerCase() as TokenSort,
      userId,
      impersonation: false,
      offset,
      limit,
    }
    const { enforce_pat_expiration: enforceExpiry } = await access.settings()
    const page = await tokens.search(query, access.now(), enforceExpiry)
    const nodes = await Promise.all(page.tokens.map(nodeOf))
    const cursors = nodes.map((_, index) => cursorOf(offset + index + 1))
    return {
      count: page.total,
      nodes,
      edges: nodes.map((node, index) => ({ node, cursor: cursors[index] })),
      pageInfo: {
        hasNextPage: offset + nodes.length < page.total,
        hasPreviousPage: offset > 0,
        startCursor: cursors[0] ?? null,
        endCursor: cursors.at(-1) ?? null,
      },
    }
  }

  /** Finds the caller's token by its global ID. @throws GraphQLError the same for others' tokens and for none */
  const requireOwn = async ({ account }: Caller, id: string): Promise<PersonalAccessToken> => {
    const number = GLOBAL_ID.exec(id)?.[1]
    const token = number === undefined ? undefined : await tokens.find(Number(number))
    if (token !== undefined && token.userId === account.id && !token.impersonation) return token
    throw new GraphQLError(NOT_AVAILABLE)
  }

  return {
    metadata: ({}, { caller }: GraphqlContext) =>
      caller === undefined ? null : { ...versionEntity(options.version), enterprise: false },

    currentUser: ({}, { caller }: GraphqlContext) => {
      if (caller === undefined) return null
      const { id, username, name, state } = caller.account
      return {
        id: `gid://gitlab/User/${id}`,
        username,
        name,
        state,
        webUrl: `${baseUrl()}/${username}`,
        // Each search goes through all tokens of the account: 40 ms for 20,000. Other requests come between two of them.
        personalAccessTokens: (wanted: ListArguments, context: GraphqlContext) => {
          const page = context.searched.then(() => setImmediate()).then(() => list(id, wanted))
          context.searched = page.catch(() => undefined)
          return page
        },
      }
    },

    personalAccessTokenCreate: (
      {
        input,
      }: Input<{
        name: string
        description?: string
        expiresAt?: string
        scopes: string[]
        repositories?: string[]
        refs?: string[]
      }>,
      { caller }: GraphqlContext,
    ) =>
      perform(input, async () => {
        const { account, token, auditContext } = requireWriter(caller, true)
        const now = access.now()
        const wish = {
          name: input.name,
          description: input.description ?? null,
          scopes: parseScopes(input.scopes.join(',')),
          expiry: expiryOf(input.expiresAt) ?? tomorrow(now),
          restrictions: parseRestrictions(input.repositories ?? [], input.refs ?? []),
          budget: UNLIMITED,
        }
        const issued = await deriveToken(
          options.tokens,
          auditContext,
          account,
          token,
          wish,
          issueRules(await access.settings(), now),
          now,
        )
        return { token: issued.secret.reveal(), personalAccessToken: await nodeOf(issued.token) }
      }),

    personalAccessTokenRotate: ({ input }: Input<{ id: string; expiresAt?: string }>, { caller }: GraphqlContext) =>
      perform(input, async () => {
        const writer = requireWriter(caller, false)
        const old = await requireOwn(writer, input.id)
        if (old.scopes.includes('sudo') && !writer.token.scopes.includes('sudo')) throw new GraphQLError(NOT_AVAILABLE)
        const now = access.now()
        const rules = issueRules(await access.settings(), now)
        const issued = await rotateToken(
          options.tokens,
          writer.auditContext,
          writer.account,
          old,
          expiryOf(input.expiresAt),
          rules,
          now,
        )
        return { token: issued.secret.reveal(), personalAccessToken: await nodeOf(issued.token) }
      }),

    personalAccessTokenRevoke: ({ input }: Input<{ id: string }>, { caller }: GraphqlContext) =>
      perform(input, async () => {
        const writer = requireWriter(caller, false)
        const token = await requireOwn(writer, input.id)
        await options.tokens.revoke(writer.auditContext, token.id, access.now())
        return {}
      }),
  }
}

const NOT_AVAILABLE =
  "The resource that you are attempting to access does not exist or you don't have permission to perform this action"

/** @param takesLimited whether a limited token is enough. @throws GraphQLError */
function requireWriter(caller: Caller | undefined, takesLimited: boolean): Caller {
  const mayWrite = caller?.token.scopes.includes('api') === true
  if (caller === undefined || !mayWrite || (!takesLimited && isLimited(caller.token))) {
    throw new GraphQLError(NOT_AVAILABLE)
  }
  return caller
}

/** Runs a mutation; broken rules go to its `errors`, as in GitLab. */
async function perform<T extends object>(input: { readonly clientMutationId?: string }, work: () => Promise<T>) {
  const clientMutationId = input.clientMutationId ?? null
  try {
    return { clientMutationId, errors: [], ...(await work()) }
  } catch (error) {
    if (!breaksRule(error)) throw error
    return { clientMutationId, errors: [error.message] }
  }
}

function expiryOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : parseExpiryDate(text)
}

/** @throws GraphQLError */
function instantOf(name: string, text: string | undefined): Date | undefined {
  try {
    return parseInstant(name, text)
  } catch {
    throw new GraphQLError(`${name} is invalid`)
  }
}

function cursorOf(position: number): string {
  return Buffer.from(String(position)).toString('base64url')
}

/** @throws GraphQLError */
function cursorOffset(cursor: string | undefined): number {
  if (cursor === undefined) return 0
  const text = Buffer.from(cursor, 'base64url').toString()
  if (!/^\d{1,9}$/.test(text)) throw new GraphQLError('after is not a cursor')
  return Number(text)
}
