// overlayd-keeper PROGRAM [ARG]...: where there is no systemd it starts overlayd, holds the descriptors that it is given, and
// starts overlayd again with them. It reads nothing of what they carry, so that nothing can make it fail.
//
// The child gets: descriptors 0 to 2 of the keeper, what is stored at 3 and up, its end of a datagram socketpair behind that, nothing
// else. OVERLAYD_KEEPER_FD (that end), OVERLAYD_RESTARTS (0 the first time), OVERLAYD_LAST_END ("exit status 1", "signal 9"; not the
// first time), and where something is stored LISTEN_FDS, LISTEN_FDNAMES (a:b:c) and LISTEN_PID, as sd_listen_fds(3).
// It sends, as sd_notify(3), datagrams of lines: READY=1; FDSTORE=1 and FDNAME=name ("stored" without it) with SCM_RIGHTS: all of them
// have that name from then on, and what had it before is closed; FDSTOREREMOVE=1 and FDNAME=name. Other lines have no meaning here.
// The first READY=1 is told to whoever waits at the keeper's own $OVERLAYD_READY_FD ("ready\n"). A child that ends before it ends the
// keeper with the same status. Later 0 ends the keeper, 4 is a restart at once, the rest one after a wait (keeper-policy.h).
// TERM, INT, HUP and USR1 are passed on; after TERM or INT there is no restart.
#include "keeper.h"
#include "keeper-policy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436  // Linux 5.9, this number on every architecture; not in every libc's headers
#endif

extern char** environ;

namespace keeper {

void complain(const char* format, ...) {
  char line[512] = "overlayd-keeper: ";
  const size_t begin = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line + begin, sizeof line - begin - 1, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  const size_t end = strlen(line);
  line[end] = '\n';
  // One write, so that lines of several processes do not mix; nobody can be told when it fails.
  ssize_t written = write(STDERR_FILENO, line, end + 1);
  (void)written;
}

namespace {

constexpr char kTitle[] = "overlayd-keeper";
constexpr int kUsage = 2, kFailed = 1;
constexpr int kShare = 64;             // datagrams before signals get their turn
constexpr int kAllThatWait = 1 << 16;  // far more than net.unix.max_dgram_qlen lets wait

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

struct Keeper {
  int signals;   // signalfd
  int readyFd;   // -1: nobody waits, or has been told
  pid_t child;   // 0: none
  int socket;    // of the child, -1: none
  bool everReady, stopping;
  int64_t readyAt;  // of this child, -1: not yet
};

int64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

// As ps shows it: our name without the folder. The arguments lie one behind the other, so they move up.
void setTitle(int count, char** words) {
  const size_t before = strlen(words[0]), wanted = sizeof kTitle - 1;
  if (before <= wanted) return;
  char* end = words[count - 1] + strlen(words[count - 1]) + 1;
  const size_t less = before - wanted;
  memcpy(words[0], kTitle, wanted);
  memmove(words[0] + wanted, words[0] + before, static_cast<size_t>(end - words[0]) - before);
  memset(end - less, 0, less);
  for (int i = 1; i < count; i++) words[i] -= less;
}

// The descriptor in OVERLAYD_READY_FD, -1 without one, -2 when it is none.
int readReadyFd() {
  const char* text = getenv("OVERLAYD_READY_FD");
  if (text == nullptr) return -1;
  char* end = nullptr;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 || number <= STDERR_FILENO || number > INT32_MAX) return -2;
  return fcntl(static_cast<int>(number), F_SETFD, FD_CLOEXEC) == 0 ? static_cast<int>(number) : -2;
}

// Nothing of what our starter left open: we live long, and whoever reads such a pipe would wait for us.
bool closeOthers(int except) {
  int null;
  do {
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return false;
    // 0 to 2 have to be something, or a descriptor of ours would take the place and go to every child.
    if (null <= STDERR_FILENO) fcntl(null, F_SETFD, 0);
  } while (null <= STDERR_FILENO);
  const unsigned from = STDERR_FILENO + 1;
  if (except < 0) return syscall(SYS_close_range, from, ~0U, 0) == 0;
  const unsigned kept = static_cast<unsigned>(except);
  return (kept == from || syscall(SYS_close_range, from, kept - 1, 0) == 0) && syscall(SYS_close_range, kept + 1, ~0U, 0) == 0;
}

int openSignals() {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigset_t taken;
  sigemptyset(&taken);
  action.sa_handler = SIG_DFL;
  sigaddset(&taken, SIGCHLD);
  // Inherited as ignored it would reap the child before us.
  sigaction(SIGCHLD, &action, nullptr);
  for (int number : kForwarded) {
    sigaddset(&taken, number);
    sigaction(number, &action, nullptr);
  }
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  if (sigprocmask(SIG_SETMASK, &taken, nullptr) != 0) return -1;
  return signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

void raiseLimit(rlimit* given) {
  if (getrlimit(RLIMIT_NOFILE, given) != 0) {
    *given = {1024, 1024};
    return;
  }
  rlimit files = *given;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
}

void nowReady(Keeper& keeper) {
  if (keeper.readyAt < 0) keeper.readyAt = nowMs();
  keeper.everReady = true;
  if (keeper.readyFd < 0) return;
  ssize_t written = write(keeper.readyFd, "ready\n", 6);
  // Whoever started us may no longer wait.
  (void)written;
  close(keeper.readyFd);
  keeper.readyFd = -1;
}

void takeSignals(Keeper& keeper) {
  signalfd_siginfo info;
  while (read(keeper.signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) continue;
    if (number == SIGTERM || number == SIGINT) keeper.stopping = true;
    // Not reaped yet, so the number is still our child's.
    if (keeper.child > 0) kill(keeper.child, number);
  }
}

// Sleeps until there is a signal, a datagram, or `timeoutMs` are over (-1: no limit), and takes what there is.
void turn(Keeper& keeper, int64_t timeoutMs) {
  pollfd sources[] = {{keeper.signals, POLLIN, 0}, {keeper.socket, POLLIN, 0}};
  const timespec limit = {static_cast<time_t>(timeoutMs / 1000), static_cast<long>(timeoutMs % 1000) * 1'000'000};
  if (ppoll(sources, 2, timeoutMs < 0 ? nullptr : &limit, nullptr) <= 0) return;
  if (sources[1].revents != 0 && takeDatagrams(keeper.socket, kShare)) nowReady(keeper);
  if (sources[0].revents != 0) takeSignals(keeper);
}

// Until the child has ended; its wait status.
int watch(Keeper& keeper) {
  int status = 0;
  for (;;) {
    // Any: as the first process of a container we get what overlayd leaves behind when it is killed, its plugin hosts.
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended == keeper.child) break;
    if (ended > 0) continue;
    if (ended < 0 && errno != EINTR) {
      // Cannot be, as only we wait for it.
      status = W_EXITCODE(kFailed, 0);
      break;
    }
    turn(keeper, -1);
  }
  keeper.child = 0;
  // Nobody else who has its end can send from here on, so this comes to an end.
  shutdown(keeper.socket, SHUT_RD);
  if (takeDatagrams(keeper.socket, kAllThatWait)) nowReady(keeper);
  close(keeper.socket);
  keeper.socket = -1;
  return status;
}

void wait(Keeper& keeper, int64_t waitMs) {
  const int64_t end = nowMs() + waitMs;
  for (int64_t left = waitMs; left > 0 && !keeper.stopping; left = end - nowMs()) turn(keeper, left);
}

// One life of the child: how it ended. One that could not be started has failed like any other.
End liveOnce(Keeper& keeper, Launch& launch) {
  keeper.readyAt = -1;
  keeper.child = startChild(launch, &keeper.socket);
  if (keeper.child < 0) {
    complain("%s: cannot be started (%s)", launch.program[0], strerror(errno));
    keeper.child = 0;
    keeper.socket = -1;
    snprintf(launch.lastEnd, sizeof launch.lastEnd, "exit status %d", kFailed);
    return {keeper.everReady, keeper.stopping, -1, false, kFailed, 0};
  }
  const int status = watch(keeper);
  const bool bySignal = WIFSIGNALED(status);
  const int number = bySignal ? WTERMSIG(status) : WEXITSTATUS(status);
  snprintf(launch.lastEnd, sizeof launch.lastEnd, "%s %d", bySignal ? "signal" : "exit status", number);
  return {keeper.everReady, keeper.stopping, keeper.readyAt < 0 ? -1 : nowMs() - keeper.readyAt, bySignal, number, 0};
}

int run(Keeper& keeper, Launch& launch) {
  for (int64_t waitMs = kFirstWaitMs;;) {
    End end = liveOnce(keeper, launch);
    end.waitMs = waitMs;
    const Verdict verdict = judge(end);
    if (!verdict.restart) return verdict.exitStatus;
    complain("%s ended with %s, starting it again in %lld ms", launch.program[0], launch.lastEnd, static_cast<long long>(verdict.waitMs));
    waitMs = verdict.nextWaitMs;
    // Signals that came after the child's end count too, also without a wait.
    takeSignals(keeper);
    wait(keeper, verdict.waitMs);
    if (keeper.stopping) return 0;
    launch.restarts++;
  }
}

int start(int count, char** words) {
  if (count < 2) {
    complain("usage: overlayd-keeper PROGRAM [ARG]...");
    return kUsage;
  }
  Keeper keeper = {-1, readReadyFd(), 0, -1, false, false, -1};
  if (keeper.readyFd == -2) {
    complain("OVERLAYD_READY_FD=%s: not an open descriptor above 2", getenv("OVERLAYD_READY_FD"));
    return kUsage;
  }
  setTitle(count, words);
  Launch launch;
  memset(&launch, 0, sizeof launch);
  launch.program = words + 1;
  launch.environment = copyEnvironment(environ, &launch.variables);
  (void)prctl(PR_GET_PDEATHSIG, &launch.parentDeathSignal, 0, 0, 0);
  if (launch.environment == nullptr || !closeOthers(keeper.readyFd) || (keeper.signals = openSignals()) < 0) {
    complain("cannot begin (%s)", strerror(errno));
    return kFailed;
  }
  raiseLimit(&launch.files);
  return run(keeper, launch);
}

}  // namespace

}  // namespace keeper

int main(int count, char** words) { return keeper::start(count, words); }
