import type { ASTVisitor, FieldNode, FragmentDefinitionNode, SelectionSetNode, ValidationContext } from 'graphql'
import { GraphQLError, Kind, OperationTypeNode } from 'graphql'

/** How deep a query may go; introspection by the usual clients takes 13. */
const MAX_DEPTH = 15
/** How many fields and fragments a query may select, each repeated use of a fragment counted anew. */
const MAX_FIELDS = 250
const MAX_MUTATIONS = 10

/**
 * Refuses queries that go too deep or ask for too much, before any of it is done. Fragments are counted wherever they are
 * spread: a few that spread each other twice make millions of fields out of a kilobyte.
 */
export function withinLimits(context: ValidationContext): ASTVisitor {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of context.getDocument().definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  return {
    OperationDefinition(operation) {
      let fields = 0
      const walk = (selections: SelectionSetNode, depth: number): void => {
        if (depth > MAX_DEPTH) throw new GraphQLError(`Query has depth of more than ${MAX_DEPTH}`)
        for (const selection of selections.selections) {
          // Spreads count, too: they cost as much to follow.
          fields += 1
          if (fields > MAX_FIELDS) throw new GraphQLError(`Query has complexity of more than ${MAX_FIELDS}`)
          if (selection.kind === Kind.FIELD) {
            if (isNested(selection)) walk(selection.selectionSet, depth + 1)
          } else if (selection.kind === Kind.INLINE_FRAGMENT) {
            walk(selection.selectionSet, depth + 1)
          } else {
            const fragment = fragments.get(selection.name.value)
            if (fragment !== undefined) walk(fragment.selectionSet, depth + 1)
          }
        }
      }
      const { length } = operation.selectionSet.selections
      if (operation.operation === OperationTypeNode.MUTATION && length > MAX_MUTATIONS) {
        context.reportError(new GraphQLError(`A request makes ${MAX_MUTATIONS} changes at most`))
        return
      }
      try {
        walk(operation.selectionSet, 1)
      } catch (error) {
        if (!(error instanceof GraphQLError)) throw error
        context.reportError(error)
      }
    },
  }
}

function isNested(field: FieldNode): field is FieldNode & { readonly selectionSet: SelectionSetNode } {
  return field.selectionSet !== undefined
}
