// Starting the keeper's child: which descriptors, variables and signals it begins with.
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436  // Linux 5.9, this number on every architecture; not in every libc's headers
#endif

namespace keeper {

namespace {

constexpr int kNotFound = 127, kNotStarted = 126;  // as a shell's
constexpr rlim_t kSpareFiles = 256;

// Set for each child, or none of its business.
constexpr const char* kOwnVariables[] = {"LISTEN_FDS",       "LISTEN_FDNAMES",    "LISTEN_PID",        "LISTEN_PIDFDID",
                                         "OVERLAYD_READY_FD", "OVERLAYD_KEEPER_FD", "OVERLAYD_RESTARTS", "OVERLAYD_LAST_END"};

char names[sizeof kNamesVariable + kMaxNamesBytes];

bool isOwn(const char* variable) {
  for (const char* own : kOwnVariables) {
    const size_t length = strlen(own);
    if (strncmp(variable, own, length) == 0 && variable[length] == '=') return true;
  }
  return false;
}

// Whoever waits to be put at a number that is taken away from it moves behind all of them.
bool moveAway(int number, size_t after, int* socket) {
  const size_t count = storedCount();
  int* holder = nullptr;
  for (size_t i = after; i < count && holder == nullptr; i++) holder = storedAt(i).fd == number ? &storedAt(i).fd : nullptr;
  if (holder == nullptr && *socket == number) holder = socket;
  if (holder == nullptr) return true;
  *holder = fcntl(number, F_DUPFD_CLOEXEC, kFirstStored + static_cast<int>(count) + 1);
  return *holder >= 0;
}

bool place(int* fd, int number) {
  if (*fd == number) return fcntl(number, F_SETFD, 0) == 0;
  if (dup2(*fd, number) < 0) return false;
  close(*fd);
  *fd = number;
  return true;
}

// What is stored at 3 and up, the socket behind it, nothing else but 0 to 2. Never needs more than one descriptor more than there are.
bool placeDescriptors(int* socket) {
  const size_t count = storedCount();
  for (size_t i = 0; i < count; i++) {
    const int number = kFirstStored + static_cast<int>(i);
    if (!moveAway(number, i + 1, socket) || !place(&storedAt(i).fd, number)) return false;
  }
  const int last = kFirstStored + static_cast<int>(count);
  return place(socket, last) && syscall(SYS_close_range, static_cast<unsigned>(last) + 1, ~0U, 0) == 0;
}

// The limit that was given to us, but never so low that the loader could not open a library behind what is stored.
void restoreLimit(const rlimit& given) {
  rlimit files = given;
  const rlim_t needed = static_cast<rlim_t>(kFirstStored) + storedCount() + 1 + kSpareFiles;
  if (files.rlim_cur < needed) files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
}

void resetSignals() {
  struct sigaction normal;
  memset(&normal, 0, sizeof normal);
  normal.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) sigaction(number, &normal, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void addVariables(Launch& launch, int socket) {
  static char fds[32], pid[32], keeper[40], restarts[48], lastEnd[64];
  char** next = launch.environment + launch.variables;
  snprintf(keeper, sizeof keeper, "OVERLAYD_KEEPER_FD=%d", socket);
  snprintf(restarts, sizeof restarts, "OVERLAYD_RESTARTS=%lu", launch.restarts);
  *next++ = keeper;
  *next++ = restarts;
  if (launch.lastEnd[0] != 0) {
    snprintf(lastEnd, sizeof lastEnd, "OVERLAYD_LAST_END=%s", launch.lastEnd);
    *next++ = lastEnd;
  }
  if (storedCount() > 0) {
    snprintf(fds, sizeof fds, "LISTEN_FDS=%zu", storedCount());
    snprintf(pid, sizeof pid, "LISTEN_PID=%d", getpid());
    char* end = stpcpy(names, kNamesVariable);
    for (size_t i = 0; i < storedCount(); i++) {
      if (i > 0) *end++ = ':';
      end = stpcpy(end, storedAt(i).name);
    }
    *next++ = fds;
    *next++ = pid;
    *next++ = names;
  }
  *next = nullptr;
}

[[noreturn]] void become(Launch& launch, int socket, pid_t parent) {
  if (launch.parentDeathSignal != 0) {
    (void)prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(launch.parentDeathSignal), 0, 0, 0);
    // Our parent may have died before that.
    if (getppid() != parent) _exit(kNotStarted);
  }
  if (!placeDescriptors(&socket)) {
    complain("%s: cannot be given its descriptors (%s)", launch.program[0], strerror(errno));
    _exit(kNotStarted);
  }
  restoreLimit(launch.files);
  addVariables(launch, socket);
  resetSignals();
  execvpe(launch.program[0], launch.program, launch.environment);
  const int error = errno;
  complain("%s: cannot be started (%s)", launch.program[0], strerror(error));
  _exit(error == ENOENT ? kNotFound : kNotStarted);
}

}  // namespace

char** copyEnvironment(char** from, size_t* variables) {
  size_t count = 0;
  while (from[count] != nullptr) count++;
  char** copy = static_cast<char**>(calloc(count + kAddedVariables + 1, sizeof(char*)));
  if (copy == nullptr) return nullptr;
  *variables = 0;
  for (size_t i = 0; i < count; i++) {
    if (!isOwn(from[i])) copy[(*variables)++] = from[i];
  }
  return copy;
}

pid_t startChild(Launch& launch, int* socket) {
  // Datagrams, so that an end that is closed does not wake us, and one message never runs into the next.
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) become(launch, ends[1], parent);
  const int error = errno;
  close(ends[1]);
  if (child < 0) close(ends[0]);
  *socket = ends[0];
  errno = error;
  return child;
}

}  // namespace keeper
