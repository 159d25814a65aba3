// What drivers need of the packet addon; handed in by the daemon, so that this folder does not know the addon.

/** Errors of these calls are shaped as Node's system errors: `code` is the name of the errno. */
export interface SystemError extends Error {
  readonly code: string;
}

export interface Devices {
  openTap(options: { readonly name: string; readonly exclusive: boolean }): number;
  openUdp(options: {
    readonly family: 4 | 6;
    readonly address: Uint8Array;
    readonly port: number;
    readonly receiveBufferBytes: number;
    readonly sendBufferBytes: number;
    readonly sendOnly: boolean;
  }): number;
  close(fd: number): void;
}
