import { Type } from 'typebox'

const Text = Type.String()
const Nullable = (text: string) => Type.Unsafe<string | null>({ type: ['string', 'null'], description: text })
const NullableCount = (text: string) => Type.Unsafe<number | null>({ type: ['integer', 'null'], description: text })
const Time = Type.String({ format: 'date-time' })

const tokenFields = {
  id: Type.Integer(),
  name: Text,
  revoked: Type.Boolean(),
  created_at: Time,
  description: Nullable('what it is for'),
  scopes: Type.Array(Text),
  user_id: Type.Integer(),
  last_used_at: Nullable('moves at most once a day'),
  active: Type.Boolean({ description: 'neither revoked nor expired' }),
  expires_at: Nullable('date; over when that day begins in UTC'),
  expires_at_time: Nullable('the same as an instant'),
  last_used_ips: Type.Array(Text, { description: 'the last five addresses' }),
  impersonation: Type.Boolean(),
  repositories: Type.Array(Text, { description: 'patterns of the repositories that it reaches; none: no limit' }),
  refs: Type.Array(Text, { description: 'rules for what it may push; none: no limit' }),
  max_pushes: NullableCount('pushes in all its life'),
  max_push_bytes: NullableCount('bytes in all its pushes'),
  pushes: Type.Integer({ description: 'pushes so far, where they are counted' }),
  push_bytes: Type.Integer({ description: 'bytes pushed so far, where they are counted' }),
  parent_id: NullableCount('the token that it was derived from, with which it ends'),
}

/** A token without its secret. */
export const TokenAnswer = Type.Object(tokenFields, { description: 'a token' })

/** A token with its secret. */
export const NewTokenAnswer = Type.Object(
  { ...tokenFields, token: Type.String({ description: 'the secret; shown here and never again' }) },
  { description: 'a token and its secret' },
)

/** An account. */
export const UserAnswer = Type.Object(
  {
    id: Type.Integer(),
    username: Text,
    name: Text,
    state: Type.Enum(['active', 'blocked']),
    locked: Type.Boolean(),
    avatar_url: Type.Null(),
    web_url: Text,
    email: Type.Optional(Nullable('shown to the account itself and to administrators')),
    is_admin: Type.Optional(Type.Boolean({ description: 'shown to administrators' })),
  },
  { description: 'an account; the account itself and administrators see more' },
)

/** A repository. */
export const ProjectAnswer = Type.Object(
  {
    id: Type.Integer({ description: 'made of the path' }),
    name: Text,
    path: Text,
    path_with_namespace: Text,
    default_branch: Type.Null(),
    visibility: Text,
    http_url_to_repo: Text,
    web_url: Text,
    permissions: Type.Object({}, { description: "GitLab's numbers: 20 read, 30 write, 40 admin" }),
  },
  { description: 'a repository' },
)

/** A grant. */
export const GrantAnswer = Type.Object(
  { id: Type.Integer(), subject: Text, role: Type.Enum(['read', 'write', 'admin']), pattern: Text },
  { description: 'a grant' },
)

/** A protection of refs. */
export const ProtectionAnswer = Type.Object(
  { id: Type.Integer(), repositories: Text, refs: Text, push: Text, force: Text, delete: Text },
  { description: 'a protection: who may push to the refs, force and delete them' },
)

const Level = Type.Object({ access_level: Type.Enum([0, 30, 40]), access_level_description: Text })

/** A protected branch. */
export const ProtectedBranchAnswer = Type.Object(
  {
    id: Type.Integer(),
    name: Text,
    push_access_levels: Type.Array(Level),
    merge_access_levels: Type.Array(Level),
    allow_force_push: Type.Boolean(),
  },
  { description: 'a protected branch' },
)

const NullableText = Type.Union([Text, Type.Null()])
const NullableInteger = Type.Union([Type.Integer(), Type.Null()])

/** An audit event. */
export const AuditRowAnswer = Type.Object(
  {
    id: Type.Integer({ description: 'counts without gaps' }),
    at: Text,
    action: Text,
    decision: Text,
    rule: NullableText,
    via: Text,
    operator: NullableText,
    account_id: NullableInteger,
    user: NullableText,
    token_id: NullableInteger,
    impersonator: NullableText,
    ip: NullableText,
    user_agent: NullableText,
    request_id: NullableText,
    repository: NullableText,
    service: NullableText,
    refs: Type.Union([Type.Array(Type.Object({ ref: Text, old: Text, new: Text })), Type.Null()]),
    bytes_in: NullableInteger,
    bytes_out: NullableInteger,
    target: NullableText,
    details: Type.Union([Type.Object({}), Type.Null()]),
    hash: Text,
  },
  { description: 'something that happened' },
)

/** The head of the audit log. */
export const AuditHeadAnswer = Type.Object(
  { id: Type.Integer(), hash: Text },
  { description: 'the last row, and the hash of it and all before it' },
)

/** The result of verifying the audit log. */
export const VerificationAnswer = Type.Object(
  { ok: Type.Boolean(), rows: Type.Integer(), first: Type.Integer(), head: AuditHeadAnswer, flaw: NullableText },
  { description: 'whether all rows are as they were written; if not, which is the first that is not' },
)
