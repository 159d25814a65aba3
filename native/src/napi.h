// Arguments in, values and errors out: what every function of the addon shares. Nothing here keeps a pointer after a call.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace packetio {

// The tables of src/types.ts, in words of 32 bits.
constexpr size_t kFrameWords = 4;
constexpr size_t kSendWords = 12;
constexpr size_t kSourceWords = 6;
struct FrameColumn {
  static constexpr size_t offset = 0, length = 1, fd = 2, error = 3;
};
struct SendColumn {
  static constexpr size_t offset = 0, length = 1, socket = 2, error = 3, family = 4, port = 5, address = 6, segment = 10;
};
struct SourceColumn {
  static constexpr size_t family = 0, port = 1, address = 2;
};
constexpr uint32_t kTruncated = 0xffffffff;

constexpr size_t kMessages = 256;      // headers of one sendmmsg or recvmmsg; the kernel takes at most 1024 (UIO_MAXIOV)
constexpr size_t kSendWindow = 1024;  // rows of send() that are sorted by socket at a time
constexpr size_t kSendSockets = 256;  // sockets of one send()

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// Scratch of the batched calls: one for each environment (main thread or worker), made once when the addon is loaded there.
struct Scratch {
  mmsghdr messages[kMessages];
  iovec parts[kMessages];
  SocketAddress addresses[kMessages];
  uint16_t order[kSendWindow];
  uint16_t next[kSendSockets];
  bool full[kSendSockets];
};

template <typename T>
struct Span {
  T* data;
  size_t length;
};

// The tables address an arena with 32 bits; what lies behind that is not used.
inline int64_t addressableBytes(const Span<uint8_t>& arena) { return arena.length < UINT32_MAX ? static_cast<int64_t>(arena.length) : UINT32_MAX; }

// Each to...() converts one argument. On false a TypeError or RangeError (or what a getter threw) is pending: return nullptr to Node.
constexpr size_t kMaxArguments = 8;
bool readArguments(napi_env env, napi_callback_info info, napi_value (&out)[kMaxArguments]);
bool toInteger(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t* out);
bool toDescriptor(napi_env env, napi_value value, const char* name, int* out);
bool toBoolean(napi_env env, napi_value value, const char* name, bool* out);
// A string without NUL, as UTF-8, that fits `size` bytes with its closing NUL.
bool toText(napi_env env, napi_value value, const char* name, char* out, size_t size, size_t* length);
// Typed arrays. Shared memory is refused: rows are checked first and used afterwards, so nobody may change them in between.
bool toBytes(napi_env env, napi_value value, const char* name, Span<uint8_t>* out);
bool toWords(napi_env env, napi_value value, const char* name, Span<uint32_t>* out);
bool toInts(napi_env env, napi_value value, const char* name, Span<int32_t>* out);
// A property of an options object. It may run a getter, so take data pointers only after the last of these.
bool getMember(napi_env env, napi_value object, const char* name, napi_value* out);
bool isUndefined(napi_env env, napi_value value);

// False, with a RangeError pending, unless [offset, offset + length) of a row lies in an arena of `room` bytes.
bool checkRange(napi_env env, size_t row, uint64_t offset, uint64_t length, size_t room);

napi_value toNumber(napi_env env, double value);
constexpr napi_value kUndefined = nullptr;  // what Node makes of a null result

// What a throw returns: "nothing" to Node, false to a function that checks.
struct Thrown {
  operator napi_value() const { return nullptr; }
  operator bool() const { return false; }
};
Thrown throwType(napi_env env, const char* format, ...) __attribute__((format(printf, 2, 3)));
Thrown throwRange(napi_env env, const char* format, ...) __attribute__((format(printf, 2, 3)));
// Throws an Error with code, errno and syscall, as Node's own system errors. `more` is what else the kernel said.
Thrown throwSystem(napi_env env, int error, const char* syscall, const char* more = "");
// 'EADDRINUSE' for EADDRINUSE.
const char* errorName(int error);

Scratch* scratchOf(napi_env env);

// An inherited descriptor becomes as one of ours: close-on-exec, non-blocking. On false errno is set and `failed` names the call.
bool takeOver(int fd, const char** failed);

// Runs `run` on a thread of its own, which may change its namespace, and waits for its end. 0, or the errno of why there is no thread.
int onThread(void* (*run)(void*), void* data);

// What module.cc exports; src/types.ts says what each does.
napi_value openTap(napi_env env, napi_callback_info info);
napi_value adoptTap(napi_env env, napi_callback_info info);
napi_value setTapPersistent(napi_env env, napi_callback_info info);
napi_value readTap(napi_env env, napi_callback_info info);
napi_value writeTaps(napi_env env, napi_callback_info info);
napi_value openUdp(napi_env env, napi_callback_info info);
napi_value udpAddress(napi_env env, napi_callback_info info);
napi_value socketDrops(napi_env env, napi_callback_info info);
napi_value receive(napi_env env, napi_callback_info info);
napi_value send(napi_env env, napi_callback_info info);
napi_value openWake(napi_env env, napi_callback_info info);
napi_value openPoll(napi_env env, napi_callback_info info);
napi_value pollAdd(napi_env env, napi_callback_info info);
napi_value pollRemove(napi_env env, napi_callback_info info);
napi_value wait(napi_env env, napi_callback_info info);
napi_value wake(napi_env env, napi_callback_info info);
napi_value drainWake(napi_env env, napi_callback_info info);
napi_value openNetlink(napi_env env, napi_callback_info info);
napi_value netlinkSend(napi_env env, napi_callback_info info);
napi_value netlinkReceive(napi_env env, napi_callback_info info);
napi_value bpfLoad(napi_env env, napi_callback_info info);
napi_value bpfAttach(napi_env env, napi_callback_info info);
napi_value bpfAttached(napi_env env, napi_callback_info info);
napi_value adopt(napi_env env, napi_callback_info info);
napi_value passOn(napi_env env, napi_callback_info info);
napi_value closeDescriptor(napi_env env, napi_callback_info info);
napi_value peerCredentials(napi_env env, napi_callback_info info);
napi_value lockFile(napi_env env, napi_callback_info info);
napi_value setParentDeathSignal(napi_env env, napi_callback_info info);
napi_value notify(napi_env env, napi_callback_info info);
napi_value notifyOver(napi_env env, napi_callback_info info);

}  // namespace packetio
