// What the keeper does when its child has ended: a pure function, with its cases checked by the compiler.
#pragma once

#include <stdint.h>

namespace keeper {

constexpr int64_t kFirstWaitMs = 100;
constexpr int64_t kLongestWaitMs = 10'000;  // less than a command waits for overlayd
constexpr int64_t kRecoveredMs = 60'000;  // so long after READY=1 a child is no part of a row of failures
constexpr int kRestartStatus = 4;
constexpr int kSignalBase = 128;  // exit status for "ended by a signal", as a shell's

struct End {
  bool everReady;     // a child, this one or one before, has said READY=1
  bool stopping;      // we were told to stop
  int64_t readyMs;    // how long ago this child said READY=1; -1: it has not
  bool bySignal;
  int number;         // of the signal, else the exit status
  int64_t waitMs;     // what the next failure waits
};

struct Verdict {
  bool restart;
  int exitStatus;  // ours, when there is no restart
  int64_t waitMs;  // before the restart
  int64_t nextWaitMs;
};

constexpr Verdict judge(const End& end) {
  const int status = end.bySignal ? kSignalBase + end.number : end.number;
  const bool asked = !end.bySignal && end.number == kRestartStatus;
  if (!end.everReady) return {false, status, 0, 0};
  // Told to stop while the child asked for a restart: there is nothing to stop any more.
  if (end.stopping) return {false, asked ? 0 : status, 0, 0};
  if (status == 0) return {false, 0, 0, 0};
  const int64_t wait = end.readyMs >= kRecoveredMs ? kFirstWaitMs : end.waitMs;
  // One that never was ready and asks for a restart would do so for ever, as fast as it can.
  if (asked && end.readyMs >= 0) return {true, 0, 0, wait};
  return {true, 0, wait, wait * 2 < kLongestWaitMs ? wait * 2 : kLongestWaitMs};
}

constexpr bool restarts(const End& end, int64_t waitMs, int64_t nextWaitMs) {
  return judge(end).restart && judge(end).waitMs == waitMs && judge(end).nextWaitMs == nextWaitMs;
}
constexpr bool ends(const End& end, int status) { return !judge(end).restart && judge(end).exitStatus == status; }

static_assert(ends({false, false, -1, false, 0, 100}, 0) && ends({false, false, -1, false, 3, 100}, 3), "before READY=1 its status is ours");
static_assert(ends({false, false, -1, true, 9, 100}, 137) && ends({false, false, -1, false, 4, 100}, 4), "also a signal, and a restart");
static_assert(ends({true, false, 5, false, 0, 800}, 0) && ends({true, false, -1, false, 0, 800}, 0), "0: it was asked to stop");
static_assert(restarts({true, false, 5, false, 1, 100}, 100, 200) && restarts({true, false, 5, true, 9, 200}, 200, 400), "doubled");
static_assert(restarts({true, false, -1, false, 3, 6400}, 6400, 10'000), "bounded");
static_assert(restarts({true, false, -1, false, 3, 10'000}, 10'000, 10'000), "and stays so");
static_assert(restarts({true, false, 59'999, false, 1, 3200}, 3200, 6400), "not yet recovered");
static_assert(restarts({true, false, 60'000, false, 1, 6400}, 100, 200), "recovered");
static_assert(restarts({true, false, 0, false, 4, 800}, 0, 800) && restarts({true, false, 60'000, false, 4, 800}, 0, 100), "at once");
static_assert(restarts({true, false, -1, false, 4, 800}, 800, 1600), "not at once for ever");
static_assert(restarts({true, false, 5, true, 4, 100}, 100, 200), "signal 4 is not status 4");
static_assert(ends({true, true, 5, false, 0, 100}, 0) && ends({true, true, 5, true, 15, 100}, 143), "told to stop");
static_assert(ends({true, true, 5, false, 4, 100}, 0), "told to stop, and restarting already");

}  // namespace keeper
