import { buildSchema } from 'graphql'

/** The part of GitLab's GraphQL schema about accounts and personal access tokens. */
export const schema = buildSchema(`
  "An instant in ISO 8601"
  scalar Time
  "A date: YYYY-MM-DD"
  scalar Date

  type Query {
    "The account of the token; null for anonymous requests"
    currentUser: CurrentUser
    metadata: Metadata
  }

  type Metadata {
    version: String!
    revision: String!
    enterprise: Boolean!
  }

  type CurrentUser {
    id: ID!
    username: String!
    name: String!
    state: String!
    webUrl: String!
    "The account's own tokens; those by which administrators act as it are not among them"
    personalAccessTokens(
      search: String
      sort: AccessTokenSort = EXPIRES_ASC
      state: AccessTokenState
      revoked: Boolean
      expiresAfter: Date
      expiresBefore: Date
      createdAfter: Time
      createdBefore: Time
      lastUsedAfter: Time
      lastUsedBefore: Time
      "At most 100"
      first: Int = 100
      after: String
    ): PersonalAccessTokenConnection!
  }

  enum AccessTokenSort {
    CREATED_ASC
    CREATED_DESC
    EXPIRES_ASC
    EXPIRES_DESC
    LAST_USED_ASC
    LAST_USED_DESC
    NAME_ASC
    NAME_DESC
  }

  enum AccessTokenState {
    ACTIVE
    INACTIVE
  }

  type PersonalAccessTokenConnection {
    count: Int!
    nodes: [PersonalAccessToken!]!
    edges: [PersonalAccessTokenEdge!]!
    pageInfo: PageInfo!
  }

  type PersonalAccessTokenEdge {
    cursor: String!
    node: PersonalAccessToken!
  }

  type PageInfo {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }

  "A token, never its secret"
  type PersonalAccessToken {
    id: ID!
    name: String!
    description: String
    granular: Boolean!
    revoked: Boolean!
    active: Boolean!
    scopes: [String!]!
    "What it is limited to (gitgate's own)"
    repositories: [String!]!
    refs: [String!]!
    lastUsedIps: [String!]!
    lastUsedAt: Time
    createdAt: Time!
    expiresAt: Date
  }

  type Mutation {
    "Derives a narrower token from the presented one, with which it ends"
    personalAccessTokenCreate(input: PersonalAccessTokenCreateInput!): PersonalAccessTokenSecretPayload
    personalAccessTokenRotate(input: PersonalAccessTokenRotateInput!): PersonalAccessTokenSecretPayload
    personalAccessTokenRevoke(input: PersonalAccessTokenRevokeInput!): PersonalAccessTokenRevokePayload
  }

  input PersonalAccessTokenCreateInput {
    clientMutationId: String
    name: String!
    description: String
    expiresAt: Date
    scopes: [String!]!
    repositories: [String!]
    refs: [String!]
  }

  input PersonalAccessTokenRotateInput {
    clientMutationId: String
    id: ID!
    expiresAt: Date
  }

  input PersonalAccessTokenRevokeInput {
    clientMutationId: String
    id: ID!
  }

  type PersonalAccessTokenSecretPayload {
    clientMutationId: String
    "The secret; shown here and never again"
    token: String
    personalAccessToken: PersonalAccessToken
    errors: [String!]!
  }

  type PersonalAccessTokenRevokePayload {
    clientMutationId: String
    errors: [String!]!
  }
`)
