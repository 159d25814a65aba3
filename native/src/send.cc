// send(): rows for many sockets, checked as a whole, sorted by socket, and given to the kernel with one sendmmsg for each.
#include "napi.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

namespace packetio {

namespace {

constexpr int64_t kMaxWaitMs = 60000;

bool checkSendRow(napi_env env, const uint32_t* row, size_t index, size_t room, size_t sockets) {
  if (!checkRange(env, index, row[SendColumn::offset], row[SendColumn::length], room)) return false;
  const uint32_t family = row[SendColumn::family], port = row[SendColumn::port];
  if (row[SendColumn::socket] >= sockets) return throwRange(env, "row %zu: socket is outside the list of %zu", index, sockets);
  if (family != 4 && family != 6) return throwRange(env, "row %zu: family must be 4 or 6", index);
  if (port < 1 || port > 65535) return throwRange(env, "row %zu: port must be 1 to 65535", index);
  if (row[SendColumn::segment] != 0) return throwRange(env, "row %zu: segment must be 0", index);
  return true;
}

int64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

class Sender {
 public:
  Sender(Scratch* scratch, const Span<int32_t>& sockets, uint8_t* arena, uint32_t* table, int64_t waitMs)
      : scratch_(scratch), sockets_(sockets), arena_(arena), table_(table), waitNs_(waitMs * 1000000) {
    memset(scratch->full, 0, sizeof scratch->full);
  }

  // Sends rows first..first+count, count <= kSendWindow, and returns how many went out.
  size_t sendWindow(size_t first, size_t count) {
    sortBySocket(first, count);
    size_t sent = 0, from = 0;
    for (size_t socket = 0; socket < sockets_.length; socket++) {
      // sortBySocket() leaves in next[] where the rows of the socket end.
      const size_t to = scratch_->next[socket];
      while (from < to) {
        const size_t some = to - from < kMessages ? to - from : kMessages;
        sent += sendChunk(socket, first, scratch_->order + from, some);
        from += some;
      }
    }
    return sent;
  }

 private:
  uint32_t* row(size_t index) const { return table_ + index * kSendWords; }

  // A counting sort: it keeps the order of the rows of one socket.
  void sortBySocket(size_t first, size_t count) {
    uint16_t* next = scratch_->next;
    memset(next, 0, sizeof scratch_->next);
    for (size_t i = 0; i < count; i++) next[row(first + i)[SendColumn::socket]]++;
    uint16_t start = 0;
    for (size_t socket = 0; socket < sockets_.length; socket++) {
      const uint16_t rows = next[socket];
      next[socket] = start;
      start = static_cast<uint16_t>(start + rows);
    }
    for (size_t i = 0; i < count; i++) scratch_->order[next[row(first + i)[SendColumn::socket]]++] = static_cast<uint16_t>(i);
  }

  void fillMessage(size_t slot, const uint32_t* from) {
    SocketAddress& address = scratch_->addresses[slot];
    memset(&address, 0, sizeof address);
    const bool v4 = from[SendColumn::family] == 4;
    if (v4) {
      address.v4.sin_family = AF_INET;
      address.v4.sin_port = htons(static_cast<uint16_t>(from[SendColumn::port]));
      memcpy(&address.v4.sin_addr, from + SendColumn::address, sizeof(in_addr));
    } else {
      address.v6.sin6_family = AF_INET6;
      address.v6.sin6_port = htons(static_cast<uint16_t>(from[SendColumn::port]));
      memcpy(&address.v6.sin6_addr, from + SendColumn::address, sizeof(in6_addr));
    }
    scratch_->parts[slot] = {arena_ + from[SendColumn::offset], from[SendColumn::length]};
    mmsghdr& message = scratch_->messages[slot];
    memset(&message, 0, sizeof message);
    message.msg_hdr.msg_name = &address;
    message.msg_hdr.msg_namelen = v4 ? sizeof address.v4 : sizeof address.v6;
    message.msg_hdr.msg_iov = &scratch_->parts[slot];
    message.msg_hdr.msg_iovlen = 1;
  }

  // At most kMessages rows of one socket. sendmmsg stops at the first message that fails and, when some went out before it, hides
  // why: the next round begins with that message and learns it.
  size_t sendChunk(size_t socket, size_t first, const uint16_t* order, size_t count) {
    for (size_t i = 0; i < count; i++) fillMessage(i, row(first + order[i]));
    size_t done = 0, sent = 0;
    while (done < count && !scratch_->full[socket]) {
      const int fd = sockets_.data[socket];
      const int result = sendmmsg(fd, scratch_->messages + done, static_cast<unsigned>(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (result > 0) {
        for (int i = 0; i < result; i++) row(first + order[done++])[SendColumn::error] = 0;
        sent += static_cast<size_t>(result);
      } else if (errno == EAGAIN) {
        // A socket that stays full gets no more rows in this call, so that a caller who retries keeps the order.
        scratch_->full[socket] = !waitWritable(fd);
      } else if (errno != EINTR) {
        row(first + order[done++])[SendColumn::error] = static_cast<uint32_t>(errno);
      }
    }
    while (done < count) row(first + order[done++])[SendColumn::error] = EAGAIN;
    return sent;
  }

  // Waits as long as the call has waiting time left; false when none is.
  bool waitWritable(int fd) {
    if (waitNs_ <= 0) return false;
    const int64_t begin = nowNs();
    const timespec limit = {static_cast<time_t>(waitNs_ / 1000000000), static_cast<long>(waitNs_ % 1000000000)};
    pollfd one = {fd, POLLOUT, 0};
    const int ready = ppoll(&one, 1, &limit, nullptr);
    waitNs_ -= nowNs() - begin;
    return ready > 0 || (ready < 0 && errno == EINTR);
  }

  Scratch* scratch_;
  Span<int32_t> sockets_;
  uint8_t* arena_;
  uint32_t* table_;
  int64_t waitNs_;
};

}  // namespace

napi_value send(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  Span<int32_t> sockets;
  Span<uint8_t> arena;
  Span<uint32_t> table;
  int64_t count = 0, waitMs = 0;
  if (!readArguments(env, info, argument) || !toInts(env, argument[0], "sockets", &sockets) || !toBytes(env, argument[1], "arena", &arena) ||
      !toWords(env, argument[2], "table", &table) ||
      !toInteger(env, argument[3], "count", 0, static_cast<int64_t>(table.length / kSendWords), &count) ||
      !toInteger(env, argument[4], "waitMs", 0, kMaxWaitMs, &waitMs)) {
    return nullptr;
  }
  if (sockets.length > kSendSockets) return throwRange(env, "sockets must have at most %zu entries, it has %zu", kSendSockets, sockets.length);
  const size_t rows = static_cast<size_t>(count);
  for (size_t i = 0; i < rows; i++) {
    if (!checkSendRow(env, table.data + i * kSendWords, i, arena.length, sockets.length)) return nullptr;
  }
  Sender sender(scratchOf(env), sockets, arena.data, table.data, waitMs);
  size_t sent = 0;
  for (size_t first = 0; first < rows; first += kSendWindow) {
    sent += sender.sendWindow(first, rows - first < kSendWindow ? rows - first : kSendWindow);
  }
  return toNumber(env, static_cast<double>(sent));
}

}  // namespace packetio
