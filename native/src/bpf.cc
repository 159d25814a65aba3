// eBPF programs of the traffic control type: load one, hang it on a link of this or another namespace (TCX), and see which hang there.
#include "napi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace packetio {

namespace {

constexpr size_t kInstructionBytes = 8;
constexpr size_t kMaxInstructions = 4096;  // BPF_MAXINSNS
constexpr int kLoadAttempts = 16;
constexpr size_t kLogBytes = 64 << 10;
constexpr size_t kShownLogBytes = 600;  // its end says why
constexpr uint32_t kMaxAttached = 64;      // BPF_MPROG_MAX: programs on one hook
constexpr size_t kNameBytes = BPF_OBJ_NAME_LEN;
constexpr char kLicense[] = "Apache-2.0";  // helpers for GPL programs only are not for ours

// linux/bpf.h has these since 6.6; headers to build with may be older than the kernel to run on.
constexpr int kTcxIngress = 46;
constexpr int kTcxEgress = 47;

int bpf(int command, union bpf_attr* attributes) { return static_cast<int>(syscall(__NR_bpf, command, attributes, sizeof *attributes)); }

// The verifier gives up with EAGAIN when a signal waits for this thread (bpf_check()); it has been handled when the call is back.
int load(union bpf_attr* attributes) {
  for (int attempt = 1;; attempt++) {
    const int fd = bpf(BPF_PROG_LOAD, attributes);
    if (fd >= 0 || errno != EAGAIN || attempt == kLoadAttempts) return fd;
  }
}

uint64_t pointer(const void* data) { return reinterpret_cast<uintptr_t>(data); }

// Once more with the verifier's log, because asking for one costs time and 64 KiB. Null: no memory, or the kernel never came to it.
char* explain(union bpf_attr attributes) {
  char* log = static_cast<char*>(calloc(1, kLogBytes));
  if (log == nullptr) return nullptr;
  attributes.log_level = 1;
  attributes.log_size = kLogBytes;
  attributes.log_buf = pointer(log);
  const int fd = load(&attributes);
  if (fd >= 0) close(fd);
  log[kLogBytes - 1] = 0;
  return log;
}

// Newlines to spaces, since it becomes part of one line; and only its end.
const char* shownPart(char* log) {
  for (char* at = log; *at != 0; at++) {
    if (*at == '\n') *at = ' ';
  }
  const size_t length = strlen(log);
  return length > kShownLogBytes ? log + length - kShownLogBytes : log;
}

struct Hook {
  uint32_t index;
  uint32_t type;
  int namespaceFd;  // -1: stay
  int program;      // -1: ask which are there
  uint32_t ids[kMaxAttached];
  uint32_t count;
  int error;
  const char* failed;  // null: done
};

bool readHook(napi_env env, napi_value options, Hook* out) {
  napi_value index, type, path;
  int64_t number = 0, attachType = 0;
  if (!getMember(env, options, "index", &index) || !toInteger(env, index, "options.index", 1, INT32_MAX, &number) ||
      !getMember(env, options, "attachType", &type) ||
      !toInteger(env, type, "options.attachType", kTcxIngress, kTcxEgress, &attachType) || !getMember(env, options, "namespace", &path)) {
    return false;
  }
  out->index = static_cast<uint32_t>(number);
  out->type = static_cast<uint32_t>(attachType);
  out->namespaceFd = -1;
  if (isUndefined(env, path)) return true;
  char name[PATH_MAX];
  size_t length = 0;
  if (!toText(env, path, "options.namespace", name, sizeof name, &length)) return false;
  out->namespaceFd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  return out->namespaceFd >= 0 || throwSystem(env, errno, "open");
}

int attach(const Hook& hook) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = hook.index;  // target_ifindex, in headers of 6.6 and later
  attributes.attach_bpf_fd = static_cast<uint32_t>(hook.program);
  attributes.attach_type = hook.type;
  return bpf(BPF_PROG_ATTACH, &attributes);
}

int query(Hook* hook) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = hook->index;
  attributes.query.attach_type = hook->type;
  attributes.query.prog_ids = pointer(hook->ids);
  attributes.query.prog_cnt = kMaxAttached;
  const int result = bpf(BPF_PROG_QUERY, &attributes);
  hook->count = result == 0 ? attributes.query.prog_cnt : 0;
  return result == 0 || errno == ENOENT ? 0 : result;  // ENOENT: nothing ever hung there
}

// The kernel takes an index of a link as one of the calling thread's namespace.
void* reach(void* data) {
  Hook* hook = static_cast<Hook*>(data);
  if (hook->namespaceFd >= 0 && setns(hook->namespaceFd, CLONE_NEWNET) != 0) {
    hook->failed = "setns";
  } else if ((hook->program >= 0 ? attach(*hook) : query(hook)) != 0) {
    hook->failed = "bpf";
  }
  hook->error = errno;
  return nullptr;
}

// False: an exception is pending.
bool reachThere(napi_env env, Hook* hook) {
  if (hook->namespaceFd < 0) {
    reach(hook);
  } else {
    const int error = onThread(reach, hook);
    close(hook->namespaceFd);
    if (error != 0) return throwSystem(env, error, "pthread_create");
  }
  return hook->failed == nullptr || throwSystem(env, hook->error, hook->failed);
}

// 0 or an errno. Empty when the program went meanwhile.
int nameOf(uint32_t id, char (&name)[kNameBytes]) {
  name[0] = 0;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_id = id;
  const int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  bpf_prog_info found;
  memset(&found, 0, sizeof found);
  memset(&attributes, 0, sizeof attributes);
  attributes.info.bpf_fd = static_cast<uint32_t>(fd);
  attributes.info.info_len = sizeof found;
  attributes.info.info = pointer(&found);
  const int error = bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0 ? 0 : errno;
  close(fd);
  memcpy(name, found.name, sizeof name);
  name[kNameBytes - 1] = 0;
  return error;
}

}  // namespace

napi_value bpfLoad(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  char name[kNameBytes];
  size_t nameLength = 0;
  Span<uint8_t> code;
  if (!readArguments(env, info, argument) || !toText(env, argument[0], "name", name, sizeof name, &nameLength) ||
      !toBytes(env, argument[1], "instructions", &code)) {
    return nullptr;
  }
  if (code.length == 0 || code.length % kInstructionBytes != 0 || code.length > kMaxInstructions * kInstructionBytes) {
    return throwRange(env, "instructions must be 1 to %zu of %zu bytes each", kMaxInstructions, kInstructionBytes);
  }
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insn_cnt = static_cast<uint32_t>(code.length / kInstructionBytes);
  attributes.insns = pointer(code.data);
  attributes.license = pointer(kLicense);
  memcpy(attributes.prog_name, name, nameLength);
  const int fd = load(&attributes);  // the kernel sets close-on-exec itself
  if (fd >= 0) return toNumber(env, fd);
  const int error = errno;
  char* log = explain(attributes);
  throwSystem(env, error, "bpf", log == nullptr ? "" : shownPart(log));
  free(log);
  return nullptr;
}

napi_value bpfAttach(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], program;
  Hook hook;
  memset(&hook, 0, sizeof hook);
  if (!readArguments(env, info, argument) || !getMember(env, argument[0], "program", &program) ||
      !toDescriptor(env, program, "options.program", &hook.program) || !readHook(env, argument[0], &hook)) {
    return nullptr;
  }
  (void)reachThere(env, &hook);
  return kUndefined;
}

napi_value bpfAttached(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], names;
  Hook hook;
  memset(&hook, 0, sizeof hook);
  hook.program = -1;
  if (!readArguments(env, info, argument) || !readHook(env, argument[0], &hook) || !reachThere(env, &hook)) return nullptr;
  if (napi_create_array(env, &names) != napi_ok) return nullptr;
  for (uint32_t i = 0; i < hook.count && i < kMaxAttached; i++) {
    char name[kNameBytes];
    const int error = nameOf(hook.ids[i], name);
    if (error != 0) return throwSystem(env, error, "bpf");
    napi_value text;
    if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &text) != napi_ok || napi_set_element(env, names, i, text) != napi_ok) return nullptr;
  }
  return names;
}

}  // namespace packetio
