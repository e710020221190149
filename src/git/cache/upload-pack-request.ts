import type { ResponseShape } from './response-validator.js'
import type { Dependence } from './fetch-arguments.js'

/**
 * A parsed POST to upload-pack. Equal requests have equal keys, whoever sends them: the values of `agent` and `session-id` are
 * left out, and what git takes as a set is sorted. Different requests have different keys.
 */
export type UploadPackRequest =
  /** `ls-refs` of version 2. Its response has the shape `refs`. */
  | { readonly kind: 'refs'; readonly key: string }
  | {
      readonly kind: 'fetch'
      /** Object ids, sorted, each once. */
      readonly wants: readonly string[]
      /** Everything in the request that the response depends on: version, object format, and every line. */
      readonly key: string
      readonly dependsOn: Dependence
      /** Whether the response is worth keeping. If the client's next request will differ, it is only shared while in progress. */
      readonly isStorable: boolean
      /** The grammar of a complete response. */
      readonly shape: Exclude<ResponseShape, 'advertisement' | 'refs'>
    }
  /** The response must come from the backend, for this request alone. */
  | { readonly kind: 'uncacheable' }
