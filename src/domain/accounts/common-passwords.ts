// The commonest passwords of eight characters and more in published leaks; shorter ones are refused for their length.
const COMMON = new Set(
  `12345678 123456789 1234567890 12345678910 123123123 987654321 0987654321 11111111 00000000 88888888 87654321 147258369
  112233445566 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz2wsx3edc q1w2e3r4 qwertyui qwertyuiop qwerty123 qwerty12 qwerty1234
  qwertyqwerty asdfghjk asdfghjkl asdfasdf zxcvbnm1 zxcvbnmm password password1 password12 password123 password1234
  passw0rd p@ssw0rd p@ssword pa$$word passwort password! password1! changeme changeme1 changeme123 letmein1 letmein123
  welcome1 welcome123 welcome1! iloveyou iloveyou1 sunshine sunshine1 princess princess1 football football1 baseball
  baseball1 basketball superman superman1 batman123 starwars trustno1 whatever whatever1 computer internet michelle
  jennifer jordan23 liverpool chelsea1 arsenal1 charlie1 dragon123 monkey123 shadow12 master123 michael1 jessica1 ashley12
  abcd1234 abc12345 abcdefgh abcdefg1 a1b2c3d4 aa123456 aaaaaaaa admin123 admin1234 administrator root1234 rootroot
  test1234 testtest testing1 user1234 guest123 secret123 default1 temp1234 qazwsxedc 123qweasd 123qwe123 qwe123qwe
  google123 facebook myspace1 linkedin samsung1 mustang1 corvette mercedes hello123 hellohello freedom1 nintendo
  pokemon1 minecraft blink182 metallica slipknot1 nirvana1 gitgate1 gitgate123 gitlab123`.split(/\s+/),
)

/** Whether a password, in lower case, is among the commonest: the first that anyone would try. */
export function isCommonPassword(password: string): boolean {
  return COMMON.has(password)
}
