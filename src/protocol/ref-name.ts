// Git's rules for the names of refs (git check-ref-format): no control characters, no space, none of ~ ^ : ? * [ \, no
// `..`, no `@{`, no part that begins with a dot or ends in .lock.
const FORBIDDEN = /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[/.]$/

/** Whether a text is the whole name of a ref, such as `refs/heads/main`. */
export function isRefName(text: string): boolean {
  return /^refs\/./.test(text) && !FORBIDDEN.test(text)
}

/** Whether a ref is a branch. */
export function isBranch(ref: string): boolean {
  return ref.startsWith('refs/heads/')
}
