import type { AnswerShape } from './answer-grammar.js'
import type { Dependence } from './fetch-arguments.js'

/**
 * What a POST to upload-pack asks for. Two that ask the same, whoever asks, have the same key: what `agent` and
 * `session-id` say is not in it, and what git takes as a set is sorted. Two that ask for different things never have.
 */
export type Asked =
  /** The list of refs, in version 2; its answer is of the shape `refs`. */
  | { readonly kind: 'refs'; readonly key: string }
  | {
      readonly kind: 'fetch'
      /** Object ids, sorted, each once. */
      readonly wants: readonly string[]
      /** All that the request adds to the answer: the version, the object format, and every line. */
      readonly key: string
      readonly dependsOn: Dependence
      /** The same client asks otherwise a second later: an answer is worth sharing while it runs, but not keeping. */
      readonly isFleeting: boolean
      /** How its answer is built when it is whole. */
      readonly shape: Exclude<AnswerShape, 'advertisement' | 'refs'>
    }
  /** An answer that must come from the backend, for this request alone. */
  | { readonly kind: 'uncacheable' }
