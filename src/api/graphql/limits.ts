import type { DocumentNode, FragmentDefinitionNode, SelectionSetNode } from 'graphql'
import { GraphQLError, Kind, OperationTypeNode } from 'graphql'

/** Maximum depth of a query; the introspection query of graphql-js needs 17. */
const MAX_DEPTH = 20
/** Maximum number of fields and fragments in an operation; each use of a fragment counts. Introspection needs 240. */
const MAX_FIELDS = 250
/**
 * The same for all operations and fragments of a document, used or not, because validation compares the fields of each pair.
 * Introspection needs 489.
 */
const MAX_DOCUMENT_FIELDS = 600
const MAX_MUTATIONS = 10
/** Each searches all tokens of the account: 40 ms for 20,000 (measured). Aliases repeat the field. */
const MAX_CONNECTIONS = 5
const CONNECTION = 'personalAccessTokens'

/**
 * Refuses queries that are too deep or too large, before they are validated. Fragments count wherever they are spread: a
 * few that spread each other twice turn a kilobyte into millions of fields.
 *
 * @returns why the query is refused, or `undefined`
 */
export function excessOf({ definitions }: DocumentNode): GraphQLError | undefined {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  let total = 0
  let fields = 0
  let connections = 0

  const walk = (selections: SelectionSetNode, depth: number): void => {
    if (depth > MAX_DEPTH) throw new GraphQLError(`Query has depth of more than ${MAX_DEPTH}`)
    for (const selection of selections.selections) {
      // Spreads count, too, because following them costs as much.
      fields += 1
      total += 1
      if (fields > MAX_FIELDS) throw new GraphQLError(`Query has complexity of more than ${MAX_FIELDS}`)
      if (total > MAX_DOCUMENT_FIELDS)
        throw new GraphQLError(`Query has complexity of more than ${MAX_DOCUMENT_FIELDS} with all its fragments`)
      if (selection.kind === Kind.FIELD && selection.name.value === CONNECTION) connections += 1
      if (connections > MAX_CONNECTIONS)
        throw new GraphQLError(`An operation can have ${CONNECTION} at most ${MAX_CONNECTIONS} times`)
      const { selectionSet } =
        selection.kind === Kind.FRAGMENT_SPREAD ? (fragments.get(selection.name.value) ?? {}) : selection
      if (selectionSet !== undefined) walk(selectionSet, depth + 1)
    }
  }
  try {
    for (const definition of definitions) {
      if (definition.kind !== Kind.OPERATION_DEFINITION && definition.kind !== Kind.FRAGMENT_DEFINITION) continue
      const isMutation =
        definition.kind === Kind.OPERATION_DEFINITION && definition.operation === OperationTypeNode.MUTATION
      if (isMutation && definition.selectionSet.selections.length > MAX_MUTATIONS)
        return new GraphQLError(`A request makes ${MAX_MUTATIONS} changes at most`)
      fields = 0
      connections = 0
      walk(definition.selectionSet, 1)
    }
    return undefined
  } catch (error) {
    if (error instanceof GraphQLError) return error
    throw error
  }
}
