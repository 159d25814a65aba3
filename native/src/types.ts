// What the addon can do, as types: the door that the rest of the program knows, and that tests replace by a fake.

/**
 * Set-up calls throw an Error shaped as Node's own system errors: `code` ('EADDRINUSE'), `errno` (positive) and `syscall`
 * (the call that failed, an ioctl by its name: 'bind', 'TUNSETIFF'). Batched calls never throw for what a kernel can say
 * at run time: they write an errno (positive, 0 = fine) into the row. They throw TypeError or RangeError for arguments
 * that are wrong, among them every offset and length outside the arena, before anything is read or written. Typed arrays over
 * shared memory are refused: another thread could change a row after it was checked.
 *
 * Descriptors are plain numbers, close-on-exec and non-blocking; whoever opened one closes it with close().
 * Nothing here is asynchronous, and no buffer is kept after a call returns.
 */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

/** Words (32 bits) of one row of the descriptor tables. */
export const FRAME_WORDS = 4;
export const SEND_WORDS = 12;

/** Columns of a frame row: readTap and receive fill them, writeTaps reads offset, length and fd and fills errno. */
export const FRAME = { offset: 0, length: 1, fd: 2, errno: 3 } as const;

/**
 * Columns of a send row. `socket` is an index into the list of descriptors given to send(). `family` is 4 or 6. The
 * address takes the next four words as bytes in network order (IPv4: the first word only). `errno` is filled.
 * `segment` is reserved for segmentation offload and has to be 0.
 */
export const SEND = { offset: 0, length: 1, socket: 2, errno: 3, family: 4, port: 5, address: 6, segment: 10 } as const;

/** Words of one row of the sources that receive() can write, and its columns: `family` is 4 or 6, the address takes four words as in a send row. */
export const SOURCE_WORDS = 6;
export const SOURCE = { family: 0, port: 1, address: 2 } as const;

/** Length that receive() writes for a datagram that was larger than its slot. */
export const TRUNCATED = 0xffff_ffff;

export interface TapOptions {
  /** 1 to 15 bytes, without '%' (the kernel would choose a number there). */
  readonly name: string;
  /** Refuse to attach to a device that exists already (IFF_TUN_EXCL). */
  readonly exclusive: boolean;
}

export interface UdpOptions {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Asked for with SO_RCVBUFFORCE / SO_SNDBUFFORCE, else SO_RCVBUF / SO_SNDBUF. Bytes. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Attach a filter that drops everything the socket receives: for sockets that only send. */
  readonly sendOnly: boolean;
}

export interface UdpAddress {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  readonly port: number;
}

export interface NetlinkOptions {
  /** NETLINK_ROUTE = 0, NETLINK_NETFILTER = 12. */
  readonly protocol: number;
  /** Path of a network namespace (`/run/netns/blue`) to open the socket in; without it the process's own. */
  readonly namespace?: string;
  /** Multicast groups to join (numbers, not a mask). */
  readonly groups?: readonly number[];
}

/** Where a program hangs on a link. */
export interface BpfHook {
  /** Index of the link, in the namespace below. */
  readonly index: number;
  /** BPF_TCX_INGRESS = 46, BPF_TCX_EGRESS = 47. */
  readonly attachType: number;
  /** Path of the network namespace of the link; without it the process's own. */
  readonly namespace?: string;
}

export interface BpfAttachment extends BpfHook {
  /** From bpfLoad(). */
  readonly program: number;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups when the socket was connected (SO_PEERGROUPS). */
  readonly groups: readonly number[];
}

export interface PacketIo {
  /**
   * Opens /dev/net/tun and makes or attaches a TAP device: IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, no vnet header, one
   * queue. The device goes when its last descriptor is closed, unless it is persistent. Vnet header size and offloads are
   * set explicitly, because they survive from an earlier attachment.
   */
  openTap(options: TapOptions): number;
  /**
   * The TAP queue behind an inherited descriptor: as adopt(), vnet header size and offloads as openTap sets them. Returns
   * the name that the device has now. Nothing is changed when it throws. @throws ENOTTY (no TUN or TAP at all), EBADFD (its
   * device is gone), EINVAL (a TUN, or a TAP with a vnet header).
   */
  adoptTap(fd: number): string;
  /** Whether the device stays when its last descriptor is closed (TUNSETPERSIST). @throws ENOTTY, EBADFD. */
  setTapPersistent(fd: number, persistent: boolean): void;
  /** A bound UDP socket: IPV6_V6ONLY, don't-fragment (IP_MTU_DISCOVER = DO), large buffers. */
  openUdp(options: UdpOptions): number;
  /** What a UDP socket is bound to, such as an inherited one. @throws ENOTSOCK, EOPNOTSUPP for anything that is no UDP socket. */
  udpAddress(fd: number): UdpAddress;
  /** With extended acknowledgements (NETLINK_EXT_ACK), and 4 MiB of receive buffer when groups are joined. */
  openNetlink(options: NetlinkOptions): number;
  /** eventfd for wake(). */
  openWake(): number;
  openPoll(): number;
  /** An inherited descriptor is treated as ours: close-on-exec and non-blocking from now on. @throws EBADF. */
  adopt(fd: number): void;
  /** A descriptor that the program which this process is about to become shall have too: close-on-exec is taken from it. Throws EBADF. */
  passOn(fd: number): void;
  close(fd: number): void;

  /** Level-triggered, readable. `token` comes back from wait(). */
  pollAdd(poll: number, fd: number, token: number): void;
  pollRemove(poll: number, fd: number): void;
  /**
   * Waits for readable descriptors at most `timeoutMs` (an integer; 0 = only look); writes their tokens, at most 64 a call,
   * returns how many. EINTR is 0.
   */
  wait(poll: number, tokens: Uint32Array, timeoutMs: number): number;
  wake(fd: number): void;
  /** Takes all wakes that have come. */
  drainWake(fd: number): void;

  /**
   * HOT: per batch. Reads frames until there are none, `max` were read, or fewer than `room` bytes are left before `end`.
   * Frame i stands at table row i; the first begins at `start + headroom`, each next one at the next multiple of 64 after
   * the one before, plus headroom. Returns the number of frames, or a negative errno when the very first read failed with
   * anything but EAGAIN. `fd` of each row is set. A longer frame is cut to `room` by the kernel, without a word: give one
   * byte more than the largest frame to tell. A device that is down reads as empty; one that is gone is EBADFD.
   */
  readTap(fd: number, arena: Uint8Array, table: Uint32Array, start: number, end: number, headroom: number, room: number, max: number): number;
  /**
   * HOT: per batch. One recvmmsg for every 256: datagram i into the slot of `stride` bytes at `start + i * stride`, at most
   * `max`. As readTap for the rest. `sources`: a row of SOURCE for each of `max`, which says who sent it.
   */
  receive(fd: number, arena: Uint8Array, table: Uint32Array, start: number, stride: number, max: number, sources?: Uint32Array): number;
  /** Datagrams that the socket had no room for since it was opened (SO_MEMINFO); modulo 2^32. */
  socketDrops(fd: number): number;
  /**
   * HOT: per batch. Sends `count` rows. Rows of one socket keep their order and go in as few sendmmsg calls as possible. A
   * full socket is waited for, together at most `waitMs` a call (0 to 60,000); what is left then gets EAGAIN, all rows of
   * that socket from the first one that found it full. At most 256 sockets. Returns how many were sent.
   */
  send(sockets: Int32Array, arena: Uint8Array, table: Uint32Array, count: number, waitMs: number): number;
  /**
   * HOT: per batch. Writes `count` frames, each to the `fd` of its row. Returns how many were written. A device that is down
   * is EIO in the row, one that is gone EBADFD, a frame shorter than an Ethernet header EINVAL.
   */
  writeTaps(arena: Uint8Array, table: Uint32Array, count: number): number;

  /** Sends one netlink message, or a batch of them, to the kernel. */
  netlinkSend(fd: number, message: Uint8Array): void;
  /**
   * The next datagram of the kernel into `buffer`; its length, or 0 when there is none. @throws ENOBUFS when notifications
   * were lost, EMSGSIZE when the datagram was larger than the buffer (it is lost too).
   */
  netlinkReceive(fd: number, buffer: Uint8Array): number;

  /**
   * Loads a program for traffic control (BPF_PROG_TYPE_SCHED_CLS) under a licence that is not the GPL; `instructions` are struct bpf_insn
   * of this machine's byte order, `name` at most 15 letters, digits, '_' and '.'. The message of an error ends with what the verifier said.
   */
  bpfLoad(name: string, instructions: Uint8Array): number;
  /** Hangs it behind what is there already (BPF_PROG_ATTACH). It stays until the link goes. @throws EINVAL before Linux 6.6 (no TCX). */
  bpfAttach(attachment: BpfAttachment): void;
  /** Names of the programs that hang there, in the order they run. @throws EINVAL before Linux 6.6. */
  bpfAttached(hook: BpfHook): string[];

  /** Who is at the other end of a connected Unix socket (SO_PEERCRED, SO_PEERGROUPS). @throws EOPNOTSUPP, ENOTCONN for others. */
  peerCredentials(fd: number): PeerCredentials;
  /** Opens (0600, made when missing) and locks a file, LOCK_EX | LOCK_NB; undefined when another process holds it. */
  lockFile(path: string): number | undefined;
  /** Signal this process gets when its parent thread ends (PR_SET_PDEATHSIG); 0 takes it back. */
  setParentDeathSignal(signal: number): void;
  /**
   * One datagram to $NOTIFY_SOCKET (a path, or '@' and an abstract name), as sd_notify(3), with at most 253 descriptors
   * (SCM_RIGHTS). They stay open here. A full queue is waited for, at most two seconds. @throws ENOENT, ECONNREFUSED (nobody
   * there), EAGAIN (still full), EBADF (none of it is sent).
   */
  notify(socket: string, state: string, descriptors?: readonly number[]): void;
  /**
   * As notify, over a connected Unix datagram socket, such as $OVERLAYD_KEEPER_FD. @throws ECONNREFUSED when the other end
   * is closed, ENOTCONN each time after that, EAGAIN, EBADF, ENOTSOCK.
   */
  notifyOver(fd: number, state: string, descriptors?: readonly number[]): void;
}
