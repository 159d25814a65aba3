// Every bound of overlayadm in one place: its value, its unit and its reason.

// --- engine: the packet loop ---------------------------------------------------------------------------------------

/** Longest wait of the engine in the kernel, ms. Without a bound process.exit() and terminate() would hang behind it. */
export const MAX_ENGINE_WAIT_MS = 500;
/** Frames taken from one TAP or socket in a turn before the next one has its share. */
export const MAX_BATCH_FRAMES = 64;
/** Largest inner frame: the largest MTU, an Ethernet header and two VLAN tags, rounded up. Bytes. */
export const MAX_FRAME_BYTES = 8960;
/** Room kept before every frame for an encapsulation header: the largest template that checkFormat() lets pass. Bytes. */
export const HEADROOM_BYTES = 64;
/** How long one send may wait for room in a full socket buffer, ms; what is left then is dropped and counted. */
export const MAX_SEND_WAIT_MS = 2;
/** Frames that may wait in a TAP for a turn of the engine (txqueuelen): some scheduling delays at full rate. A TAP comes with 1000 at most. */
export const TAP_QUEUE_FRAMES = 4096;
/** Send-only sockets of one listen address: how many source ports, and so paths, the underlay can see (RFC 7348 §5). */
export const SEND_SOCKETS = 16;
/** Source ports of RFC 7348 §5 (the dynamic range of RFC 6335). */
export const SOURCE_PORTS = { min: 49152, max: 65535 } as const;
/** Ports on loopback that kernel links punt to: privileged ones (ip(7), ip_local_port_range), above those that well-known services have most. */
export const PUNT_PORTS = { min: 600, max: 1023 } as const;
/** Asked for with SO_RCVBUFFORCE and SO_SNDBUFFORCE: about 5 ms at 10 Gb/s. Bytes. */
export const SOCKET_BUFFER_BYTES = 8 * 1024 * 1024;
/** Messages from the daemon that the engine takes in one turn, so that a flood of answers cannot keep frames waiting. */
export const MAX_MESSAGES_PER_TURN = 64;

// --- engine: rows of kernel links ----------------------------------------------------------------------------------

/** Rows that are put into a kernel link after one look that found no frame waiting: at 3 us a row the look is still true (measured). */
export const ROWS_PER_LOOK = 16;
/** Looks for one link in a turn, so that the others have theirs: a thousand rows. */
export const LOOKS_PER_TURN = 64;
/**
 * A row is put in although frames keep coming after this long, ms: those that wait then will be overtaken. Where only a few do, as of
 * a flow that never pauses, it is not waited so long.
 */
export const ROW_FORCED_MS = 1000;
export const ROW_FORCED_EARLY_MS = 250;
export const FEW_PUNTED = 16;
/** For frames without row: those of one flow of 100,000 a second from its first to when its row is forced. Bytes. */
export const PUNT_BUFFER_BYTES = 32 * 1024 * 1024;
/** Destinations among which the one with a narrow path is looked for. */
export const MAX_SHOWN_DESTINATIONS = 256;
/** Rows of others that are told of. */
export const MAX_FOREIGN_ROWS = 64;
/** Changes by others that are looked after one by one; with more of them at once the table is read. */
export const MAX_STRANGE_ROWS = 1024;
/** Notifications of changes taken in one turn, in reads of up to NETLINK_BUFFER_BYTES, and parts of a table that is read. */
export const ROW_READS_PER_TURN = 16;
/** When the cache is fuller than this, the kernel is asked which rows it uses, so often (ms): those that it does make no room. */
export const USAGE_SHARE = 15 / 16;
export const USAGE_MS = 10_000;
/** Rows from which a kernel before Linux 6.16 searches long lists (256 of them, drivers/net/vxlan) for every frame. */
export const MANY_ROWS = 4000;

// --- target cache --------------------------------------------------------------------------------------------------

/** Most bytes one target may queue while its lookup is out (illumos overlay_target.c, overlay_ent_size). */
export const MAX_QUEUED_BYTES_PER_TARGET = 128 * 1024;
/** Most bytes that all targets of one overlay may queue. */
export const MAX_QUEUED_BYTES_PER_OVERLAY = 16 * 1024 * 1024;
/** Memory for waiting frames, all overlays together; touched only when used. Bytes. */
export const MISS_POOL_BYTES = 64 * 1024 * 1024;
/** Entries of one overlay's target cache; beyond it the ones not used lately go. Guests can invent MAC addresses. */
export const MAX_TARGETS_PER_OVERLAY = 262_144;
/** Target lookups in flight for one overlay; frames to further unknown targets are dropped and counted. */
export const MAX_LOOKUPS_PER_OVERLAY = 16_384;
/** How long a refused lookup answers for its target without being asked again, ms. */
export const NEGATIVE_TTL_MS = 1000;
/** Refusals remembered for one overlay. */
export const MAX_REFUSALS_PER_OVERLAY = 8192;
/** Questions (ARP, ND, DHCP) in flight for one overlay, and for one source MAC in it. */
export const MAX_QUESTIONS_PER_OVERLAY = 8192;
export const MAX_QUESTIONS_PER_SOURCE = 2048;
/** Different askers that wait for the answer to one question; each gets an answer of its own. */
export const MAX_ASKERS_PER_QUESTION = 16;
/** Frames that wait for the destination of one group address. */
export const MAX_GROUP_FRAMES = 16;
/** Most entries in one page of a listing (illumos OVERLAY_TARGET_ITER_MAX). */
export const MAX_PAGE_ROWS = 500;

// --- lookups -------------------------------------------------------------------------------------------------------

/** A lookup that was not answered by then is a refusal, ms. An svp server is given 30 s before its connection is reset. */
export const LOOKUP_TIMEOUT_MS = 30_000;
/** Questions that one overlay may put to a plugin host before the next overlay has its turn. */
export const FAIR_ASKS = 128;
/** How often a request is put to a plugin host that dies under it before it is refused. */
export const MAX_ASKS = 2;
/**
 * A file named by a property of type path, bytes. 100,000 targets take about 7 MiB, and the files plugin 1 to 2 s to read
 * them anew.
 */
export const MAX_PLUGIN_FILE_BYTES = 8 * 1024 * 1024;

// --- properties ----------------------------------------------------------------------------------------------------

/** MTU of an overlay, bytes (illumos overlay.c: OVERLAY_MTU_MIN, _DEF, _MAX). */
export const MTU = { min: 576, max: 8900, default: 1400 } as const;
/** Longest text of a property value, bytes; a path may be longer (PATH_MAX). */
export const MAX_PROPERTY_BYTES = 255;
export const MAX_PATH_BYTES = 4095;
/** Longest name of a Linux network interface (include/uapi/linux/if.h IFNAMSIZ less the NUL). */
export const MAX_LINK_NAME_BYTES = 15;

// --- header formats ------------------------------------------------------------------------------------------------

/** Entries of the `accept` list of a header format: far beyond any header of HEADROOM_BYTES, and walked for every packet. */
export const MAX_FORMAT_MATCHES = 32;

// --- properties of plugins -----------------------------------------------------------------------------------------

/** Properties of one plugin, values in one list of possible ones; svp, the largest known, has four of the first. */
export const MAX_PROPERTIES = 64;
export const MAX_POSSIBLE_VALUES = 64;
/** Name of a property or plugin, characters (illumos: 31 for a plugin, 63 for plugin/property). */
export const MAX_NAME_CHARS = 31;
/** One line of help, characters. */
export const MAX_SUMMARY_CHARS = 200;
/** How much of a wrong value an error message repeats, characters. */
export const MAX_SHOWN_CHARS = 64;

// --- overlays ------------------------------------------------------------------------------------------------------

/** Longest text of a degraded reason, bytes (illumos: a buffer of 256 with its NUL). */
export const MAX_REASON_BYTES = 255;
/** Changes of an overlay's health are logged at most so often, ms; the last one always. */
export const HEALTH_LOG_MS = 5000;
/** An overlay that is degraded because frames were too big is online again when none was for this long, ms. */
export const TOO_BIG_QUIET_MS = 60_000;
/** How often the listen addresses of overlays are looked for among those of this host, ms; and at most this share of the time. */
export const UNDERLAY_POLL_MS = 1000;
export const MAX_UNDERLAY_POLL_SHARE = 0.1;
/** How often kernel links and their filter are looked at when something has happened to links or nftables, ms. */
export const KERNEL_WATCH_MS = 100;

// --- VNICs ---------------------------------------------------------------------------------------------------------

/** VLAN identifiers of IEEE 802.1Q that a VNIC may have: 0 is no VLAN, 4095 is reserved. */
export const VLAN_ID = { min: 1, max: 4094 } as const;
/** How long VNICs are looked at before whatever else waits has its turn, ms. */
export const LIST_SLICE_MS = 20;
/** How often the namespaces of VNICs are looked at, ms; and at most this share of the time. */
export const NAMESPACE_POLL_MS = 1000;
export const MAX_NAMESPACE_POLL_SHARE = 0.1;

// --- saved state ---------------------------------------------------------------------------------------------------

/** One saved overlay, bytes: its plugins' properties, and some ten thousand VNICs. */
export const MAX_STATE_FILE_BYTES = 4 * 1024 * 1024;
/** Saved overlays of one directory; further files are reported and not read. */
export const MAX_STATE_FILES = 16_384;
/** Groups of a user who named a file (include/uapi/linux/limits.h NGROUPS_MAX). */
export const MAX_SETTER_GROUPS = 65_536;

// --- control socket ------------------------------------------------------------------------------------------------

/** One line of JSON on the control socket and on a plugin host's channel, bytes: a page of rows, or a batch of answers. */
export const MAX_LINE_BYTES = 1024 * 1024;

// --- linux: netlink and /proc --------------------------------------------------------------------------------------

/** One read from a netlink socket, bytes: twice what the kernel puts into one message of a dump (netlink_dump(): 32 KiB). */
export const NETLINK_BUFFER_BYTES = 64 * 1024;
/** Reads that may find nothing before a netlink request counts as unanswered; the kernel answers within the send. */
export const MAX_EMPTY_NETLINK_READS = 8;
/** How often a dump is begun anew because the table changed while it was read. */
export const MAX_DUMP_ATTEMPTS = 16;
/** Longest IFLA_IFALIAS (include/uapi/linux/if.h IFALIASZ less the NUL), bytes. */
export const MAX_LINK_ALIAS_BYTES = 255;
/** Processes, and descriptors of one process, looked at to name the holder of a port or of a namespace. */
export const MAX_SCANNED_PROCESSES = 16_384;
export const MAX_SCANNED_DESCRIPTORS = 4096;
/** Longest name of another program shown in a message of ours. */
export const MAX_PROCESS_NAME_CHARACTERS = 40;
/** Elements of a set of nf_tables in one message: of the largest, 36 bytes each, a list attribute holds less than 64 KiB. */
export const MAX_ELEMENTS_PER_MESSAGE = 1024;
/** Network namespaces looked at for links that stand on an overlay. */
export const MAX_SCANNED_NAMESPACES = 1024;
/** Longest name of a Unix socket: sun_path of unix(7) less its NUL. Bytes. */
export const MAX_SOCKET_PATH_BYTES = 107;
/** Clients connected to the control socket at once. */
export const MAX_RPC_CONNECTIONS = 256;
/** The same of one user who may only read, so that the others find room. */
export const MAX_RPC_CONNECTIONS_PER_USER = 64;
/** Requests of one connection that are worked on at once; its further ones wait in the order they came. */
export const MAX_RPC_REQUESTS_IN_FLIGHT = 32;
/** Answers that one client may leave unread before it is disconnected, bytes: some of the longest lines. */
export const MAX_RPC_UNREAD_BYTES = 8 * 1024 * 1024;
/** How long a connection that was told good-bye may take to read it, ms. */
export const RPC_LINGER_MS = 1000;
/** How long requests that are being worked on may take to finish when the server is closed, ms. */
export const RPC_CLOSE_GRACE_MS = 2000;

// --- commands ------------------------------------------------------------------------------------------------------

/** Connecting and the hello, which overlayd answers at once, ms. */
export const RPC_HELLO_TIMEOUT_MS = 10_000;
/** Any other request, ms. */
export const RPC_CALL_TIMEOUT_MS = 60_000;
/** One that starts or replaces a lookup instance, ms: several calls of its host, and a lookup's time for its start. */
export const RPC_START_CALL_TIMEOUT_MS = 180_000;
/** One that does so for every overlay, or every plugin, one after another, ms. */
export const RPC_EVERY_CALL_TIMEOUT_MS = 900_000;
/** Asking npm why a package cannot be had, or removing one, ms: it tries twice to reach a registry. */
export const NPM_TIMEOUT_MS = 30_000;
/** Longest name of an encapsulation or lookup plugin, characters (illumos MAXLINKNAMELEN less its NUL). */
export const MAX_PLUGIN_NAME_CHARACTERS = 31;
/** From the first attempt to connect until overlayd has to serve, ms. A start takes well under a second on an idle host. */
export const AUTOSTART_TIMEOUT_MS = 20_000;
/** Between two attempts to connect to an overlayd that is starting, ms. */
export const AUTOSTART_POLL_MS = 50;
/** How long another overlayd that holds the lock is waited for before it is tried again to start one, ms. */
export const AUTOSTART_RETRY_MS = 2000;
/** Lines of the log shown when overlayd does not start, and how much of its end is read for them, bytes. */
export const LOG_TAIL_LINES = 10;
export const LOG_TAIL_BYTES = 16 * 1024;
/** Height of a terminal whose height is not known, rows (illumos ofmt.c). */
export const DEFAULT_TERMINAL_ROWS = 24;
/** Questions that a show command has out at once: fewer than overlayd works on for one client, so that it never stops reading. */
export const SHOW_REQUESTS_AT_ONCE = 16;
/** Longest interval of `show-link -s -i`, seconds: timers of Node.js have 31 bits of milliseconds. */
export const MAX_SHOW_INTERVAL_SECONDS = 1_000_000;

// --- parameters of requests ----------------------------------------------------------------------------------------

/** Names in a request, characters. Far above every real limit, so that its owner can refuse with a better text. */
export const MAX_NAME_CHARACTERS = 255;
/** Properties in one request (illumos dladm_parse_args: 64). */
export const MAX_PROPERTY_ARGUMENTS = 64;

// --- plugin hosts --------------------------------------------------------------------------------------------------

/** Asks or answers in one line: with the longest reason, every byte of it escaped, a line stays below MAX_LINE_BYTES. */
export const MAX_BATCH_ANSWERS = 512;
/** Part of a file in one line, bytes before base64 makes four of three. */
export const FILE_CHUNK_BYTES = 512 * 1024;
/** What a plugin host may leave unread before it is ended, bytes: all that may be in flight of ten overlays. */
export const MAX_HOST_UNREAD_BYTES = 32 * 1024 * 1024;
/** How long a plugin host may take to import its plugin, and one call or start() of an instance may take, ms. */
export const HOST_CALL_TIMEOUT_MS = 20_000;
/** How long `varpd --list` may take before plugins are read without oclif, ms, and how much it may print, bytes. It takes 0.5 s. */
export const LIST_TIMEOUT_MS = 8000;
export const MAX_LIST_BYTES = 4 * 1024 * 1024;
/** A ping is sent this often, ms; a host that sent nothing for so many pings in a row hangs. Counted, because a sleeping machine is no hang. */
export const HOST_PING_INTERVAL_MS = 1000;
export const HOST_MISSED_PINGS = 10;
/** Wait before a crashed host is started again, doubled from one crash to the next, ms. */
export const HOST_RESTART_MS = { first: 100, max: 30_000 } as const;
/** A host that lived this long has recovered: its next crash is a first one again, ms. */
export const HOST_STABLE_MS = 60_000;
/** A host without instances is kept this long for the next call of the same create-overlay, ms. */
export const HOST_WARM_MS = 1000;
/** How long stop() of instances may take when a host ends, ms; then how long until it is killed. */
export const HOST_STOP_MS = 1000;
export const HOST_KILL_MS = 2000;
/** JavaScript heap of one host, MiB: a file of MAX_PLUGIN_FILE_BYTES, read and parsed. */
export const HOST_HEAP_MIB = 768;
/** Writable memory of one host, MiB (RLIMIT_DATA): 560 that Node 24 reserves and does not use, the heap, and buffers, which no heap limit counts. */
export const HOST_DATA_MIB = 3072;
/** Instances of one package that start at a time when it has many of them to make anew. */
export const MAX_STARTING_INSTANCES = 64;
/** Hosts that are started at a time to be asked for their properties, or to take the place of others. */
export const MAX_STARTING_HOSTS = 4;
/** How long a host that is to take the place of another may take until all its instances run, ms. Less than RPC_CALL_TIMEOUT_MS less LIST_TIMEOUT_MS. */
export const HOST_REPLACE_MS = 30_000;
/** What the new instances of one package may report until they take over; a target, or one listener of an announcement, is one. */
export const MAX_STAGED_REPORTS = 131_072;
/** How long show-plugins waits for plugins to say what properties they have, ms. */
export const PLUGIN_LIST_MS = 3000;
/** Files of one package that are looked at to see whether it has changed. */
export const MAX_STAMPED_FILES = 4096;
/** How often outstanding lookups are looked through for those beyond LOOKUP_TIMEOUT_MS, ms. */
export const LOOKUP_SWEEP_MS = 250;
/** Messages of a plugin in the log: bytes of one, and how many in a period of so many ms. */
export const MAX_LOG_TEXT_BYTES = 1024;
export const MAX_LOG_LINES = 50;
export const LOG_PERIOD_MS = 10_000;
/** Message, advice or details of an error that crosses a host's channel, bytes. */
export const MAX_FAILURE_BYTES = 4096;
/** VNICs that one announcement of a plugin may name. */
export const MAX_ANNOUNCE_MACS = 4096;
/** How often a file that a plugin reads is looked at for changes, ms. */
export const FILE_POLL_MS = 1000;
/** How long another user's file may take to be read, ms: a file of a network that went away must not stay for ever. */
export const FILE_READ_TIMEOUT_MS = 10_000;
/** Files that one instance may have open at a time. */
export const MAX_OPEN_FILES = 16;
/** VNICs, and their IP addresses, that a plugin is told of: the list is one line, which stays below MAX_LINE_BYTES. */
export const MAX_LOCAL_VNICS = 4096;
export const MAX_LOCAL_IPS = 16_384;
/** How often the addresses of VNICs are looked at for a plugin that follows them, ms; and at most this share of the time. */
export const LOCAL_ADDRESS_POLL_MS = 1000;
export const MAX_LOCAL_ADDRESS_SHARE = 0.1;
/** The package.json of a plugin, and the list of plugins, bytes: npm's own registry refuses larger ones long before. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;
/** Packages whose folders a host may read: a plugin's dependencies, and theirs. */
export const MAX_PLUGIN_DEPENDENCIES = 256;

// --- configuration -------------------------------------------------------------------------------------------------

/** The file in the configuration directory, bytes: thousands of defaults. At this size the worst YAML takes 0.1 s to refuse. */
export const MAX_CONFIGURATION_BYTES = 256 * 1024;

// --- overlayd ------------------------------------------------------------------------------------------------------

/** Size from which the log is put aside when overlayd starts, bytes. */
export const MAX_LOG_BYTES = 4 * 1024 * 1024;
/** Lines of the log that wait for room on a full disk, bytes. */
export const MAX_UNWRITTEN_LOG_BYTES = 256 * 1024;
/** How long overlayd may take to stop before it ends without finishing, ms. */
export const STOP_TIMEOUT_MS = 10_000;

// --- restarts ------------------------------------------------------------------------------------------------------

/** How often what cannot be restored is tried again, ms. */
export const RESTORE_RETRY_MS = 5000;
/** Targets are written down this long after they have changed, ms; and at most this share of the time goes into it. */
export const SNAPSHOT_MS = 1000;
export const MAX_SNAPSHOT_SHARE = 0.05;
/** Places of a target table that one message of the engine carries: well below a millisecond of its time. */
export const SNAPSHOT_PLACES = 4096;
/** Targets from before a restart that are asked for anew in one go, and how often, ms: 500 a second. */
export const VERIFY_BATCH = 50;
export const VERIFY_MS = 100;
/** A file of written down targets, bytes: MAX_TARGETS_PER_OVERLAY records, and some. */
export const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024;
/** Descriptors that no new overlay takes, so that there are some for files, control connections, plugin hosts and namespaces. */
export const SPARE_DESCRIPTORS = 64;
/** Descriptors that are held for an overlayd that is started again (systemd: FileDescriptorStoreMax=). */
export const MAX_HELD_DESCRIPTORS = 4096;
/**
 * Sockets that outlived overlayd are read when all overlays are open again; or this long after the last one that was, ms, and at the
 * latest so long after the first: a thousand take some seconds.
 */
export const RESTORE_HOLD_MS = 2000;
export const MAX_RESTORE_HOLD_MS = 10_000;
/** How long their holder may take to let go of a socket of an overlay that was deleted, ms; and how often it is tried, ms. */
export const LET_GO_TIMEOUT_MS = 2000;
export const LET_GO_POLL_MS = 5;
/** How often the line that `systemctl status overlayd` shows is looked at, ms. */
export const STATUS_MS = 2000;
