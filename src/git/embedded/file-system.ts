import { statfsSync } from 'node:fs'

// The numbers of statfs(2). On these, another machine may change a file while its old stamp is still shown for seconds
// (NFS: 3 to 60 s), the clock of the stamps is another machine's, or (FAT) inode numbers and times are made up.
const UNTRUSTED: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x01021997, // 9p
  0x65735546, // FUSE, virtiofs: whatever is behind it
  0x00c36400, // Ceph
  0x5346414f, // AFS
  0x6b414653, // AFS, the kernel's own
  0x73757245, // Coda
  0x01161970, // GFS2
  0x7461636f, // OCFS2
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x19830326, // BeeGFS
  0x4d44, // FAT
  0x2011bab0, // exFAT
])

/** Whether the stamps of the file system on which a path lies tell of every change, whoever makes it. */
export function hasTrustedStamps(path: string): boolean {
  // Signed where a long has 32 bits.
  return !UNTRUSTED.has(statfsSync(path).type >>> 0)
}
