// What the parts of overlayd-keeper share. One thread, libc only, and nothing is allocated after the start: the tables are
// of fixed size, and the kernel gives their pages when they are used.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

namespace keeper {

constexpr int kFirstStored = 3;  // SD_LISTEN_FDS_START
constexpr size_t kMaxStored = 4096;
constexpr size_t kMaxNameBytes = 255;
constexpr char kNamesVariable[] = "LISTEN_FDNAMES=";
// One string of an environment may have 128 KiB (MAX_ARG_STRLEN): more, and nothing could be started any more.
constexpr size_t kMaxNamesBytes = 128 * 1024 - sizeof kNamesVariable;

struct Stored {
  int fd;
  char name[kMaxNameBytes + 1];
};

// One line on stderr, with our name before it.
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// keeper-store.cc
size_t storedCount();
Stored& storedAt(size_t index);
// Takes at most `limit` datagrams from the child's socket and does what they ask for. True when one said READY=1.
bool takeDatagrams(int socket, int limit);

// keeper-child.cc
struct Launch {
  char** program;       // with its arguments, as execvp takes them
  char** environment;   // without what is set for each child; kAddedVariables free slots at the end
  size_t variables;     // that it has
  rlimit files;         // RLIMIT_NOFILE as it was given to us
  int parentDeathSignal;
  unsigned long restarts;
  char lastEnd[32];  // "exit status 1", "signal 9"; empty before the first end
};
constexpr size_t kAddedVariables = 6;
// The environment of ours without what a child gets from us or must not have. Null without memory.
char** copyEnvironment(char** from, size_t* variables);
// Starts the program; `socket` becomes our end of its socket. -1 with errno set.
pid_t startChild(Launch& launch, int* socket);

}  // namespace keeper
