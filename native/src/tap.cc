// TAP devices: opening or taking over one queue, and frames in and out of it.
#include "napi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace packetio {

namespace {

constexpr int kVnetHeaderBytes = 10;  // sizeof(virtio_net_hdr) of a device without merged buffers
constexpr uint64_t kFrameAlignment = 64;

// Both settings belong to the device, not to the descriptor: an earlier holder may have left others behind.
const char* setPlainFrames(int fd, int* error) {
  if (ioctl(fd, TUNSETOFFLOAD, 0UL) != 0) {
    *error = errno;
    return "TUNSETOFFLOAD";
  }
  // Without IFF_VNET_HDR nobody looks at the size, so a kernel that refuses it here is no reason to give up.
  int size = kVnetHeaderBytes;
  (void)ioctl(fd, TUNSETVNETHDRSZ, &size);
  return nullptr;
}

// Null when all went well, else the call that failed, with its errno.
const char* attach(int fd, const char* name, bool exclusive, int* error) {
  ifreq request;
  memset(&request, 0, sizeof request);
  // ifr_name holds IFNAMSIZ bytes with the NUL; the caller has checked that.
  memcpy(request.ifr_name, name, strlen(name));
  const int flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | (exclusive ? IFF_TUN_EXCL : 0);
  request.ifr_flags = static_cast<short>(flags);
  if (ioctl(fd, TUNSETIFF, &request) == 0) return setPlainFrames(fd, error);
  *error = errno;
  return "TUNSETIFF";
}

// As attach(), for a queue that somebody else attached. Nothing is changed on a descriptor that is refused.
const char* takeOverQueue(int fd, ifreq* request, int* error) {
  memset(request, 0, sizeof *request);
  const char* failed = "TUNGETIFF";
  bool done = ioctl(fd, TUNGETIFF, request) == 0;
  if (done && (request->ifr_flags & (IFF_TAP | IFF_VNET_HDR)) != IFF_TAP) {
    // A TUN, or frames with something before them: read() would give what readTap() does not expect. IFF_NO_PI cannot be
    // asked for: its bit also says that there is no filter (IFF_NOFILTER in linux/if_tun.h).
    errno = EINVAL;
    done = false;
  }
  done = done && takeOver(fd, &failed);
  if (done) return setPlainFrames(fd, error);
  *error = errno;
  return failed;
}

bool checkFrameRows(napi_env env, const Span<uint32_t>& table, size_t count, size_t room) {
  for (size_t row = 0; row < count; row++) {
    const uint32_t* words = table.data + row * kFrameWords;
    if (!checkRange(env, row, words[FrameColumn::offset], words[FrameColumn::length], room)) return false;
  }
  return true;
}

}  // namespace

napi_value openTap(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], member;
  char name[IFNAMSIZ];
  size_t length = 0;
  bool exclusive = false;
  if (!readArguments(env, info, argument)) return nullptr;
  if (!getMember(env, argument[0], "name", &member) || !toText(env, member, "options.name", name, sizeof name, &length)) return nullptr;
  if (!getMember(env, argument[0], "exclusive", &member) || !toBoolean(env, member, "options.exclusive", &exclusive)) return nullptr;
  // The kernel takes "" and "x%d" as "choose a name", and the caller would never learn which.
  if (length == 0 || strchr(name, '%') != nullptr) return throwRange(env, "options.name must be a name of 1 to 15 bytes without %%");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return throwSystem(env, errno, "open");
  int error = 0;
  const char* failed = attach(fd, name, exclusive, &error);
  if (failed == nullptr) return toNumber(env, fd);
  close(fd);
  return throwSystem(env, error, failed);
}

napi_value adoptTap(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], name = nullptr;
  int fd = -1, error = 0;
  ifreq request;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  const char* failed = takeOverQueue(fd, &request, &error);
  if (failed != nullptr) return throwSystem(env, error, failed);
  return napi_create_string_utf8(env, request.ifr_name, strnlen(request.ifr_name, sizeof request.ifr_name), &name) == napi_ok ? name : nullptr;
}

napi_value setTapPersistent(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  bool persistent = false;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) ||
      !toBoolean(env, argument[1], "persistent", &persistent)) {
    return nullptr;
  }
  return ioctl(fd, TUNSETPERSIST, persistent ? 1UL : 0UL) != 0 ? throwSystem(env, errno, "TUNSETPERSIST") : kUndefined;
}

napi_value readTap(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  Span<uint8_t> arena;
  Span<uint32_t> table;
  int64_t start = 0, end = 0, headroom = 0, room = 0, max = 0;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) || !toBytes(env, argument[1], "arena", &arena) ||
      !toWords(env, argument[2], "table", &table)) {
    return nullptr;
  }
  const int64_t bytes = addressableBytes(arena);
  const int64_t rows = static_cast<int64_t>(table.length / kFrameWords);
  if (!toInteger(env, argument[4], "end", 0, bytes, &end) || !toInteger(env, argument[3], "start", 0, end, &start) ||
      !toInteger(env, argument[5], "headroom", 0, bytes, &headroom) || !toInteger(env, argument[6], "room", 1, bytes, &room) ||
      !toInteger(env, argument[7], "max", 0, rows, &max)) {
    return nullptr;
  }
  // All of these are at most the arena's length, far below 2^63: the sums cannot overflow.
  uint64_t next = static_cast<uint64_t>(start);
  int64_t count = 0;
  while (count < max) {
    const uint64_t offset = next + static_cast<uint64_t>(headroom);
    if (offset + static_cast<uint64_t>(room) > static_cast<uint64_t>(end)) break;
    const ssize_t length = read(fd, arena.data + offset, static_cast<size_t>(room));
    if (length < 0) {
      if (errno == EINTR) continue;
      // After frames the error waits: the next call meets it first. A device that is gone stays gone (EBADFD).
      if (count == 0 && errno != EAGAIN) return toNumber(env, -errno);
      break;
    }
    if (length == 0) break;
    uint32_t* row = table.data + static_cast<size_t>(count) * kFrameWords;
    row[FrameColumn::offset] = static_cast<uint32_t>(offset);
    row[FrameColumn::length] = static_cast<uint32_t>(length);
    row[FrameColumn::fd] = static_cast<uint32_t>(fd);
    row[FrameColumn::error] = 0;
    next = (offset + static_cast<uint64_t>(length) + kFrameAlignment - 1) & ~(kFrameAlignment - 1);
    count++;
  }
  return toNumber(env, static_cast<double>(count));
}

napi_value writeTaps(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  Span<uint8_t> arena;
  Span<uint32_t> table;
  int64_t count = 0;
  if (!readArguments(env, info, argument) || !toBytes(env, argument[0], "arena", &arena) || !toWords(env, argument[1], "table", &table) ||
      !toInteger(env, argument[2], "count", 0, static_cast<int64_t>(table.length / kFrameWords), &count) ||
      !checkFrameRows(env, table, static_cast<size_t>(count), arena.length)) {
    return nullptr;
  }
  uint32_t written = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t* row = table.data + static_cast<size_t>(i) * kFrameWords;
    ssize_t result;
    do {
      result = write(static_cast<int>(row[FrameColumn::fd]), arena.data + row[FrameColumn::offset], row[FrameColumn::length]);
    } while (result < 0 && errno == EINTR);
    // A TAP takes a frame whole or not at all.
    const bool whole = result == static_cast<ssize_t>(row[FrameColumn::length]);
    row[FrameColumn::error] = whole ? 0 : static_cast<uint32_t>(result < 0 ? errno : EIO);
    written += whole ? 1 : 0;
  }
  return toNumber(env, written);
}

}  // namespace packetio
