// What drivers need of the packet addon; handed in by the daemon, so that this folder does not know the addon.

/** Errors of these calls are shaped as Node's system errors: `code` is the name of the errno. */
export interface SystemError extends Error {
  readonly code: string;
}

export interface Devices {
  openTap(options: { readonly name: string; readonly exclusive: boolean }): number;
  /** An inherited descriptor of a TAP becomes ours; the name its device has now. @throws EBADFD when the device is gone, others when it is no TAP of ours. */
  adoptTap(fd: number): string;
  /** Whether the device stays when its last descriptor is closed. @throws EBADFD when the device is gone. */
  setTapPersistent(fd: number, persistent: boolean): void;
  openUdp(options: {
    readonly family: 4 | 6;
    readonly address: Uint8Array;
    readonly port: number;
    readonly receiveBufferBytes: number;
    readonly sendBufferBytes: number;
    readonly sendOnly: boolean;
  }): number;
  /** What a UDP socket is bound to. @throws when it is none. */
  udpAddress(fd: number): { readonly family: 4 | 6; readonly address: Uint8Array; readonly port: number };
  /** An inherited descriptor becomes ours: close-on-exec and non-blocking. @throws EBADF. */
  adopt(fd: number): void;
  /** A socket that hears what happens to links, rows or nftables, by the numbers of netlink(7). */
  openNetlink(options: { readonly protocol: number; readonly groups: readonly number[] }): number;
  close(fd: number): void;
}
