// Waiting for many descriptors at once (epoll), and waking the waiter from another thread (eventfd).
#include "napi.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace packetio {

namespace {
constexpr size_t kEvents = 64;  // of one wait; level-triggered, so the others come with the next one
}

napi_value openWake(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? throwSystem(env, errno, "eventfd") : toNumber(env, fd);
}

napi_value openPoll(napi_env env, napi_callback_info) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? throwSystem(env, errno, "epoll_create1") : toNumber(env, fd);
}

napi_value pollAdd(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int poll = -1, fd = -1;
  int64_t token = 0;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "poll", &poll) || !toDescriptor(env, argument[1], "fd", &fd) ||
      !toInteger(env, argument[2], "token", 0, UINT32_MAX, &token)) {
    return nullptr;
  }
  epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  event.data.u32 = static_cast<uint32_t>(token);
  return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0 ? throwSystem(env, errno, "epoll_ctl") : kUndefined;
}

napi_value pollRemove(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int poll = -1, fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "poll", &poll) || !toDescriptor(env, argument[1], "fd", &fd)) {
    return nullptr;
  }
  return epoll_ctl(poll, EPOLL_CTL_DEL, fd, nullptr) != 0 ? throwSystem(env, errno, "epoll_ctl") : kUndefined;
}

napi_value wait(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int poll = -1;
  Span<uint32_t> tokens;
  int64_t timeoutMs = 0;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "poll", &poll) ||
      !toWords(env, argument[1], "tokens", &tokens) || !toInteger(env, argument[2], "timeoutMs", 0, INT32_MAX, &timeoutMs)) {
    return nullptr;
  }
  if (tokens.length == 0) return throwRange(env, "tokens must have room for one at least");
  epoll_event events[kEvents];
  const size_t room = tokens.length < kEvents ? tokens.length : kEvents;
  const int count = epoll_wait(poll, events, static_cast<int>(room), static_cast<int>(timeoutMs));
  if (count < 0) return errno == EINTR ? toNumber(env, 0) : throwSystem(env, errno, "epoll_wait");
  for (int i = 0; i < count; i++) tokens.data[i] = events[i].data.u32;
  return toNumber(env, count);
}

napi_value wake(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  const uint64_t one = 1;
  // EAGAIN: the counter is at its end, so the waiter has been woken long ago.
  if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) return throwSystem(env, errno, "write");
  return nullptr;
}

napi_value drainWake(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  uint64_t wakes = 0;
  if (read(fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN) return throwSystem(env, errno, "read");
  return nullptr;
}

}  // namespace packetio
