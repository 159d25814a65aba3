// sd_notify: state and descriptors to the service manager, or over a socket to the keeper.
#include "napi.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

namespace packetio {

namespace {

constexpr int64_t kWaitMs = 2000;        // a queue may be full for a moment, as at boot
constexpr uint32_t kMaxDescriptors = 253;  // SCM_MAX_FD of the kernel
constexpr size_t kMaxStateBytes = 4096;

struct State {
  char text[kMaxStateBytes];
  size_t length;
  int descriptors[kMaxDescriptors];
  uint32_t count;
};

bool readDescriptors(napi_env env, napi_value list, State* out) {
  bool isArray = false;
  uint32_t length = 0;
  if (napi_is_array(env, list, &isArray) != napi_ok || !isArray || napi_get_array_length(env, list, &length) != napi_ok) {
    return throwType(env, "descriptors must be an array of numbers");
  }
  if (length > kMaxDescriptors) return throwRange(env, "descriptors must have at most %u entries", kMaxDescriptors);
  for (uint32_t i = 0; i < length; i++) {
    napi_value entry;
    if (napi_get_element(env, list, i, &entry) != napi_ok) return throwType(env, "descriptors cannot be read");
    if (!toDescriptor(env, entry, "descriptors", &out->descriptors[i])) return false;
  }
  out->count = length;
  return true;
}

bool readState(napi_env env, napi_value text, napi_value descriptors, State* out) {
  out->count = 0;
  return toText(env, text, "state", out->text, sizeof out->text, &out->length) &&
         (isUndefined(env, descriptors) || readDescriptors(env, descriptors, out));
}

int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

// Over a connected socket. Null when it was sent, else the call that failed, with errno set.
const char* sendState(int fd, State* state) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof state->descriptors)];
  memset(control, 0, sizeof control);
  iovec part = {state->text, state->length};
  msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (state->count > 0) {
    const size_t bytes = state->count * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(rights), state->descriptors, bytes);
  }
  // The file may be shared with others, so neither its flags nor its timeouts are ours to set.
  const int64_t end = nowMs() + kWaitMs;
  while (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    const int64_t left = end - nowMs();
    if (errno != EAGAIN || left <= 0) return "sendmsg";
    pollfd room = {fd, POLLOUT, 0};
    if (poll(&room, 1, static_cast<int>(left)) < 0 && errno != EINTR) return "poll";
  }
  return nullptr;
}

const char* sendStateTo(const sockaddr_un& address, socklen_t bytes, State* state) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "socket";
  const char* failed = connect(fd, reinterpret_cast<const sockaddr*>(&address), bytes) == 0 ? sendState(fd, state) : "connect";
  const int error = errno;
  close(fd);
  errno = error;
  return failed;
}

}  // namespace

napi_value notify(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  sockaddr_un address;
  memset(&address, 0, sizeof address);
  State state;
  size_t pathBytes = 0;
  if (!readArguments(env, info, argument) || !toText(env, argument[0], "socket", address.sun_path, sizeof address.sun_path, &pathBytes) ||
      !readState(env, argument[1], argument[2], &state)) {
    return nullptr;
  }
  if (address.sun_path[0] != '/' && address.sun_path[0] != '@') return throwRange(env, "socket must begin with / or @");
  address.sun_family = AF_UNIX;
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  // Every byte of an abstract name counts, so the length ends with the name and takes no NUL along.
  const socklen_t bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + pathBytes);
  const char* failed = sendStateTo(address, bytes, &state);
  return failed != nullptr ? throwSystem(env, errno, failed) : kUndefined;
}

napi_value notifyOver(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  State state;
  int fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) || !readState(env, argument[1], argument[2], &state)) {
    return nullptr;
  }
  const char* failed = sendState(fd, &state);
  return failed != nullptr ? throwSystem(env, errno, failed) : kUndefined;
}

}  // namespace packetio
