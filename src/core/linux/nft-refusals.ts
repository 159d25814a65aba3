// What nf_tables refuses, in words for both of our tables.
import { constants } from 'node:os';
import { OverlayError } from '@overlayadm/api';
import { describeErrno, kernelRefused } from './errors.ts';

/** @param table Name in the family inet. @param errno Positive. */
export function tableRefused(table: string, errno: number, cause?: unknown): OverlayError {
  const { EOPNOTSUPP, EPROTONOSUPPORT, EINVAL, EEXIST, EPERM } = constants.errno;
  const subject = `nftables table ${table}`;
  const { code, text } = describeErrno(errno);
  const parts = { details: { errno, code }, cause };
  if (errno === EOPNOTSUPP || errno === EPROTONOSUPPORT || errno === EINVAL) {
    return new OverlayError('NFTABLES_MISSING', `${subject}: cannot be made, the kernel has no nf_tables or one before Linux 5.12 (${code})`, {
      ...parts,
      advice: 'Load it with "modprobe nf_tables", or use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET.',
    });
  }
  if (errno === EEXIST || (errno === EPERM && process.geteuid?.() === 0)) {
    return new OverlayError('NETLINK_REFUSED', `${subject}: cannot be changed (${code}: ${text})`, {
      ...parts,
      advice: `Is another overlayd running here? "nft list table inet ${table}" shows the table and its owner.`,
    });
  }
  return kernelRefused(subject, 'be changed', errno, cause);
}
