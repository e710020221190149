/** What an account may do in all repositories. */
export type Role = 'none' | 'read' | 'write'

/** A token as the model knows it. */
export type ModelToken = {
  readonly id: number
  readonly secret: string
  readonly owner: string
  readonly mayPush: boolean
  isRevoked: boolean
}

/** Rights at one moment. */
export type Rights = {
  readonly roles: Map<string, Role>
  readonly blocked: Set<string>
}

/** A request whose answer is checked. */
export type Operation = {
  readonly token: ModelToken
  readonly kind: 'fetch' | 'push' | 'api'
  /** Whether it was allowed at a moment while it ran. */
  wasAllowed: boolean
  /** Whether it was refused at a moment while it ran. */
  wasRefused: boolean
  /** Whether a fault happened while it ran. */
  hadFault: boolean
}

/** How a request ended for its client. */
export type Result = 'done' | 'refused' | 'unavailable'

/**
 * Knows which requests must be allowed. A change of rights counts from its acknowledgement on. While it is being made, a request may
 * see the rights before or after it.
 */
export class Model {
  readonly tokens: ModelToken[] = []
  readonly roles = new Map<string, Role>()
  readonly blocked = new Set<string>()
  readonly #running = new Set<Operation>()
  #pending: (() => void) | undefined
  #isFaulty = false

  /** Whether a request is allowed by the rights that are in force now. */
  isAllowed({ token, kind }: Pick<Operation, 'token' | 'kind'>): boolean {
    if (token.isRevoked || this.blocked.has(token.owner)) return false
    const role = this.roles.get(token.owner) ?? 'none'
    switch (kind) {
      case 'api':
        return true
      case 'fetch':
        return role !== 'none'
      case 'push':
        return role === 'write' && token.mayPush
    }
  }

  begin(token: ModelToken, kind: Operation['kind']): Operation {
    const operation = { token, kind, wasAllowed: false, wasRefused: false, hadFault: this.#isFaulty }
    this.#running.add(operation)
    this.#observe(operation)
    return operation
  }

  /** @returns why the result is wrong; `undefined` if it is right */
  end(operation: Operation, result: Result): string | undefined {
    this.#running.delete(operation)
    const { token, kind, wasAllowed, wasRefused, hadFault } = operation
    const what = `${kind} with token ${token.id} of ${token.owner}`
    if (result === 'done' && !wasAllowed) return `${what} was done, and must be refused`
    if (result === 'refused' && !wasRefused) return `${what} was refused, and must be allowed`
    if (result === 'unavailable' && !hadFault && !wasRefused) return `${what} failed, and nothing was broken`
    return undefined
  }

  /**
   * Makes a change of rights.
   *
   * @param change what it does to this model
   * @param undo takes it back
   * @param make makes it in the gate; resolves when the gate has acknowledged it
   */
  async change(change: () => unknown, undo: () => unknown, make: () => Promise<void>): Promise<void> {
    this.#pending = (): void => {
      change()
      for (const operation of this.#running) this.#note(operation)
      undo()
    }
    this.#pending()
    await make()
    this.#pending = undefined
    change()
    for (const operation of this.#running) this.#note(operation)
  }

  /** A fault begins or is over. */
  set isFaulty(isFaulty: boolean) {
    this.#isFaulty = isFaulty
    if (isFaulty) for (const operation of this.#running) operation.hadFault = true
  }

  #observe(operation: Operation): void {
    this.#note(operation)
    this.#pending?.()
  }

  #note(operation: Operation): void {
    if (this.isAllowed(operation)) operation.wasAllowed = true
    else operation.wasRefused = true
  }
}
