// Descriptors and processes: taking over, closing, who is at the other end, one process at a time, the end of the parent.
#include "napi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59  // Linux 4.13; not in every libc's headers
#endif

namespace packetio {

namespace {

constexpr int kMaxSignal = 64;
constexpr int kMaxLockTries = 16;

bool isConnectedUnix(int fd, int* error, const char** failed) {
  int domain = 0;
  socklen_t bytes = sizeof domain;
  sockaddr_un peer;
  socklen_t peerBytes = sizeof peer;
  *failed = "getsockopt";
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) != 0) {
    *error = errno;
    return false;
  }
  // On other sockets SO_PEERCRED succeeds and says uid -1; on a listening one it names ourselves.
  if (domain != AF_UNIX) {
    *error = EOPNOTSUPP;
    return false;
  }
  *failed = "getpeername";
  *error = getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peerBytes) == 0 ? 0 : errno;
  return *error == 0;
}

// The groups as an array in `out`; false with an exception pending.
bool readPeerGroups(napi_env env, int fd, napi_value* out) {
  socklen_t bytes = 0;
  gid_t* groups = nullptr;
  // With room for none the kernel says ERANGE and how much it needs.
  int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &bytes);
  if (result != 0 && errno == ERANGE) {
    groups = static_cast<gid_t*>(malloc(bytes));
    if (groups == nullptr) return throwSystem(env, ENOMEM, "malloc");
    result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes);
  }
  if (result != 0) {
    const int error = errno;
    free(groups);
    return throwSystem(env, error, "getsockopt");
  }
  const uint32_t count = static_cast<uint32_t>(bytes / sizeof(gid_t));
  bool made = napi_create_array_with_length(env, count, out) == napi_ok;
  for (uint32_t i = 0; made && i < count; i++) made = napi_set_element(env, *out, i, toNumber(env, groups[i])) == napi_ok;
  free(groups);
  return made;
}

// The locked descriptor, -1 when somebody else has the lock, -2 with `failed` and errno set.
int openLocked(const char* path, const char** failed) {
  for (int i = 0; i < kMaxLockTries; i++) {
    const int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    *failed = "open";
    if (fd < 0) return -2;
    struct stat locked, named;
    *failed = "flock";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      close(fd);
      errno = error;
      return error == EWOULDBLOCK ? -1 : -2;
    }
    // A holder that removes its file as it goes leaves a lock on a file without a name: it keeps nobody out, so once more.
    if (fstat(fd, &locked) == 0 && lstat(path, &named) == 0 && locked.st_dev == named.st_dev && locked.st_ino == named.st_ino) return fd;
    close(fd);
  }
  return -1;
}

}  // namespace

napi_value closeDescriptor(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  // After EINTR Linux has closed it all the same; a second close could hit somebody else's.
  return close(fd) != 0 && errno != EINTR ? throwSystem(env, errno, "close") : kUndefined;
}

bool takeOver(int fd, const char** failed) {
  *failed = "fcntl";
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

napi_value adopt(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  const char* failed = nullptr;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  return takeOver(fd, &failed) ? kUndefined : throwSystem(env, errno, failed);
}

napi_value passOn(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  const int flags = fcntl(fd, F_GETFD);
  return flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0 ? throwSystem(env, errno, "fcntl") : kUndefined;
}

napi_value peerCredentials(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1, error = 0;
  const char* failed = nullptr;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  if (!isConnectedUnix(fd, &error, &failed)) return throwSystem(env, error, failed);
  ucred peer;
  socklen_t bytes = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) return throwSystem(env, errno, "getsockopt");
  napi_value result = nullptr, groups = nullptr;
  if (!readPeerGroups(env, fd, &groups) || napi_create_object(env, &result) != napi_ok ||
      napi_set_named_property(env, result, "pid", toNumber(env, peer.pid)) != napi_ok ||
      napi_set_named_property(env, result, "uid", toNumber(env, peer.uid)) != napi_ok ||
      napi_set_named_property(env, result, "gid", toNumber(env, peer.gid)) != napi_ok ||
      napi_set_named_property(env, result, "groups", groups) != napi_ok) {
    return nullptr;
  }
  return result;
}

napi_value lockFile(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  char path[PATH_MAX];
  size_t length = 0;
  const char* failed = nullptr;
  if (!readArguments(env, info, argument) || !toText(env, argument[0], "path", path, sizeof path, &length)) return nullptr;
  const int fd = openLocked(path, &failed);
  if (fd == -2) return throwSystem(env, errno, failed);
  return fd < 0 ? nullptr : toNumber(env, fd);
}

napi_value setParentDeathSignal(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int64_t signal = 0;
  if (!readArguments(env, info, argument) || !toInteger(env, argument[0], "signal", 0, kMaxSignal, &signal)) return nullptr;
  return prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(signal), 0, 0, 0) != 0 ? throwSystem(env, errno, "prctl") : kUndefined;
}

}  // namespace packetio
