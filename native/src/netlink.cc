// Netlink sockets, in this namespace or in another one, and messages over them. What is in the messages is not our business.
#include "napi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

namespace packetio {

namespace {

constexpr uint32_t kMaxGroups = 64;
constexpr int kRequestBytes = 4 << 20;  // of send buffer: a table of rules is one message of nfnetlink, however many overlays there are
constexpr int kNotificationBytes = 4 << 20;  // of receive buffer when groups are joined: a burst of table changes should not be lost

struct Opening {
  int protocol;
  int groups[kMaxGroups];
  uint32_t groupCount;
  int namespaceFd;  // -1: stay
  int fd;
  int error;
  const char* failed;  // null: `fd` is open
};

bool readGroups(napi_env env, napi_value list, Opening* out) {
  bool isArray = false;
  uint32_t length = 0;
  if (napi_is_array(env, list, &isArray) != napi_ok || !isArray || napi_get_array_length(env, list, &length) != napi_ok) {
    return throwType(env, "options.groups must be an array of numbers");
  }
  if (length > kMaxGroups) return throwRange(env, "options.groups must have at most %u entries", kMaxGroups);
  for (uint32_t i = 0; i < length; i++) {
    napi_value entry;
    int64_t group = 0;
    if (napi_get_element(env, list, i, &entry) != napi_ok) return throwType(env, "options.groups cannot be read");
    if (!toInteger(env, entry, "options.groups", 1, INT32_MAX, &group)) return false;
    out->groups[i] = static_cast<int>(group);
  }
  out->groupCount = length;
  return true;
}

const char* prepare(const Opening& opening) {
  const int yes = 1;
  // Words that say why, behind the errno of a refusal (NLMSGERR_ATTR_MSG). Kernels before 4.12 do without.
  (void)setsockopt(opening.fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
  (void)setsockopt(opening.fd, SOL_SOCKET, SO_SNDBUFFORCE, &kRequestBytes, sizeof kRequestBytes);
  if (opening.groupCount > 0) {
    (void)setsockopt(opening.fd, SOL_SOCKET, SO_RCVBUFFORCE, &kNotificationBytes, sizeof kNotificationBytes);
  }
  sockaddr_nl address;
  memset(&address, 0, sizeof address);
  address.nl_family = AF_NETLINK;
  if (bind(opening.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "bind";
  for (uint32_t i = 0; i < opening.groupCount; i++) {
    if (setsockopt(opening.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &opening.groups[i], sizeof(int)) != 0) return "setsockopt";
  }
  return nullptr;
}

void* openSocket(void* data) {
  Opening* opening = static_cast<Opening*>(data);
  if (opening->namespaceFd >= 0 && setns(opening->namespaceFd, CLONE_NEWNET) != 0) {
    opening->failed = "setns";
    opening->error = errno;
    return nullptr;
  }
  opening->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, opening->protocol);
  opening->failed = opening->fd < 0 ? "socket" : prepare(*opening);
  opening->error = errno;
  if (opening->failed != nullptr && opening->fd >= 0) close(opening->fd);
  return nullptr;
}

}  // namespace

// setns() moves the calling thread, and a socket stays in the namespace it was made in: so a thread of its own that ends at once.
// pthread and not std::thread, whose constructor cannot say that there is no room for another thread.
int onThread(void* (*run)(void*), void* data) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);  // inherited: no handler of Node may run over there
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, run, data);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) pthread_join(thread, nullptr);
  return error;
}

napi_value openNetlink(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], protocol, groups, path;
  Opening opening;
  memset(&opening, 0, sizeof opening);
  opening.namespaceFd = -1;
  int64_t number = 0;
  if (!readArguments(env, info, argument) || !getMember(env, argument[0], "protocol", &protocol) ||
      !toInteger(env, protocol, "options.protocol", 0, 255, &number) || !getMember(env, argument[0], "groups", &groups) ||
      (!isUndefined(env, groups) && !readGroups(env, groups, &opening)) || !getMember(env, argument[0], "namespace", &path)) {
    return nullptr;
  }
  opening.protocol = static_cast<int>(number);
  if (isUndefined(env, path)) {
    openSocket(&opening);
  } else {
    char name[PATH_MAX];
    size_t length = 0;
    if (!toText(env, path, "options.namespace", name, sizeof name, &length)) return nullptr;
    opening.namespaceFd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (opening.namespaceFd < 0) return throwSystem(env, errno, "open");
    const int error = onThread(openSocket, &opening);
    close(opening.namespaceFd);
    if (error != 0) return throwSystem(env, error, "pthread_create");
  }
  return opening.failed != nullptr ? throwSystem(env, opening.error, opening.failed) : toNumber(env, opening.fd);
}

napi_value netlinkSend(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  Span<uint8_t> message;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) || !toBytes(env, argument[1], "message", &message)) {
    return nullptr;
  }
  sockaddr_nl kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.nl_family = AF_NETLINK;
  const sockaddr* to = reinterpret_cast<const sockaddr*>(&kernel);
  ssize_t sent;
  do {
    sent = sendto(fd, message.data, message.length, MSG_NOSIGNAL, to, sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? throwSystem(env, errno, "sendto") : kUndefined;
}

napi_value netlinkReceive(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  Span<uint8_t> buffer;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) || !toBytes(env, argument[1], "buffer", &buffer)) {
    return nullptr;
  }
  if (buffer.length == 0) return throwRange(env, "buffer must not be empty");
  for (;;) {
    sockaddr_nl from;
    memset(&from, 0, sizeof from);
    socklen_t fromBytes = sizeof from;
    // MSG_TRUNC: the real length, also when the buffer is too small for it.
    const ssize_t length = recvfrom(fd, buffer.data, buffer.length, MSG_DONTWAIT | MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &fromBytes);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return errno == EAGAIN ? toNumber(env, 0) : throwSystem(env, errno, "recvfrom");
    // Other processes with CAP_NET_ADMIN can write to our port; only the kernel (port 0) is believed.
    if (from.nl_family != AF_NETLINK || from.nl_pid != 0) continue;
    if (static_cast<size_t>(length) > buffer.length) return throwSystem(env, EMSGSIZE, "recvfrom");
    return toNumber(env, static_cast<double>(length));
  }
}

}  // namespace packetio
