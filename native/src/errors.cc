// Errors of the kernel as JavaScript Errors. The names are a table of our own: strerrorname_np() is glibc 2.32 and newer only.
#include "napi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

namespace packetio {

namespace {

// glibc's strerror_r returns the text, musl's an int and fills the buffer.
const char* pickText(const char* returned, const char*) { return returned; }
[[maybe_unused]] const char* pickText(int, const char* filled) { return filled; }

}  // namespace

const char* errorName(int error) {
#define NAME(symbol) \
  case symbol:       \
    return #symbol;
  switch (error) {
    NAME(E2BIG) NAME(EACCES) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(EAFNOSUPPORT) NAME(EAGAIN) NAME(EALREADY) NAME(EBADF)
    NAME(EBADFD) NAME(EBADMSG) NAME(EBUSY) NAME(ECONNABORTED) NAME(ECONNREFUSED) NAME(ECONNRESET) NAME(EDESTADDRREQ) NAME(EDQUOT)
    NAME(EEXIST) NAME(EFAULT) NAME(EFBIG) NAME(EHOSTDOWN) NAME(EHOSTUNREACH) NAME(EINPROGRESS) NAME(EINTR) NAME(EINVAL) NAME(EIO)
    NAME(EISCONN) NAME(EISDIR) NAME(ELOOP) NAME(EMFILE) NAME(EMSGSIZE) NAME(ENAMETOOLONG) NAME(ENETDOWN) NAME(ENETUNREACH)
    NAME(ENFILE) NAME(ENOBUFS) NAME(ENODATA) NAME(ENODEV) NAME(ENOENT) NAME(ENOLCK) NAME(ENOMEM) NAME(ENOPROTOOPT) NAME(ENOSPC)
    NAME(ENOSYS) NAME(ENOTCONN) NAME(ENOTDIR) NAME(ENOTSOCK) NAME(ENOTTY) NAME(ENOTUNIQ) NAME(ENXIO) NAME(EOPNOTSUPP)
    NAME(EOVERFLOW) NAME(EPERM) NAME(EPIPE) NAME(EPROTO) NAME(EPROTONOSUPPORT) NAME(EPROTOTYPE) NAME(ERANGE) NAME(EROFS)
    NAME(ESOCKTNOSUPPORT) NAME(ESRCH) NAME(ETIMEDOUT) NAME(ETOOMANYREFS) NAME(ETXTBSY) NAME(EUSERS) NAME(EXDEV)
    default:
      return "UNKNOWN";
  }
#undef NAME
}

Thrown throwSystem(napi_env env, int error, const char* syscall, const char* more) {
  char text[128] = "";
  char message[1024];
  snprintf(message, sizeof message, "%s: %s, %s%s%s", errorName(error), pickText(strerror_r(error, text, sizeof text), text), syscall,
           *more == 0 ? "" : ": ", more);
  napi_value code = nullptr, what = nullptr, number = nullptr, call = nullptr, result = nullptr;
  // A step fails only while the environment is being torn down; the exception is pending then already.
  if (napi_create_string_utf8(env, errorName(error), NAPI_AUTO_LENGTH, &code) == napi_ok &&
      napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &what) == napi_ok &&
      napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &call) == napi_ok && napi_create_int32(env, error, &number) == napi_ok &&
      napi_create_error(env, code, what, &result) == napi_ok && napi_set_named_property(env, result, "errno", number) == napi_ok &&
      napi_set_named_property(env, result, "syscall", call) == napi_ok) {
    napi_throw(env, result);
  }
  return {};
}

}  // namespace packetio
