// UDP sockets: opening one, and datagrams in and out of it in batches.
#include "napi.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

namespace packetio {

namespace {

struct UdpOptions {
  SocketAddress address;
  socklen_t addressBytes;
  int64_t receiveBufferBytes, sendBufferBytes;
  bool sendOnly;
};

constexpr int64_t kMaxBufferBytes = INT32_MAX / 2;  // the kernel doubles it

bool readUdpOptions(napi_env env, napi_value from, UdpOptions* out) {
  napi_value member;
  int64_t family = 0, port = 0;
  if (!getMember(env, from, "family", &member) || !toInteger(env, member, "options.family", 4, 6, &family)) return false;
  if (!getMember(env, from, "port", &member) || !toInteger(env, member, "options.port", 0, 65535, &port)) return false;
  if (!getMember(env, from, "receiveBufferBytes", &member) ||
      !toInteger(env, member, "options.receiveBufferBytes", 0, kMaxBufferBytes, &out->receiveBufferBytes)) {
    return false;
  }
  if (!getMember(env, from, "sendBufferBytes", &member) ||
      !toInteger(env, member, "options.sendBufferBytes", 0, kMaxBufferBytes, &out->sendBufferBytes)) {
    return false;
  }
  if (!getMember(env, from, "sendOnly", &member) || !toBoolean(env, member, "options.sendOnly", &out->sendOnly)) return false;
  Span<uint8_t> address;
  if (!getMember(env, from, "address", &member) || !toBytes(env, member, "options.address", &address)) return false;
  if (family == 5) return throwRange(env, "options.family must be 4 or 6");
  const size_t wanted = family == 4 ? sizeof(in_addr) : sizeof(in6_addr);
  if (address.length != wanted) return throwRange(env, "options.address must have %zu bytes, it has %zu", wanted, address.length);
  memset(&out->address, 0, sizeof out->address);
  if (family == 4) {
    out->address.v4.sin_family = AF_INET;
    out->address.v4.sin_port = htons(static_cast<uint16_t>(port));
    memcpy(&out->address.v4.sin_addr, address.data, wanted);
    out->addressBytes = sizeof out->address.v4;
  } else {
    out->address.v6.sin6_family = AF_INET6;
    out->address.v6.sin6_port = htons(static_cast<uint16_t>(port));
    memcpy(&out->address.v6.sin6_addr, address.data, wanted);
    out->addressBytes = sizeof out->address.v6;
  }
  return true;
}

bool setOption(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }

// FORCE passes net.core.[rw]mem_max but needs CAP_NET_ADMIN.
bool setBuffer(int fd, int forced, int plain, int64_t bytes) {
  return setOption(fd, SOL_SOCKET, forced, static_cast<int>(bytes)) || setOption(fd, SOL_SOCKET, plain, static_cast<int>(bytes));
}

bool dropAllReceived(int fd) {
  sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, 0);
  sock_fprog program = {1, &refuse};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

// Null when all went well, else the call that failed. No SO_REUSEADDR: two sockets on one UDP port would take each other's datagrams.
const char* prepare(int fd, const UdpOptions& options) {
  const bool v6 = options.address.any.sa_family == AF_INET6;
  const bool set = v6 ? setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
                      : setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  if (!set || !setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receiveBufferBytes) ||
      !setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.sendBufferBytes) || (options.sendOnly && !dropAllReceived(fd))) {
    return "setsockopt";
  }
  return bind(fd, &options.address.any, options.addressBytes) == 0 ? nullptr : "bind";
}

// One chunk of receive(): the number of datagrams, or a negative errno.
int receiveChunk(Scratch* scratch, int fd, uint8_t* slots, size_t stride, size_t count, bool withSources) {
  for (size_t i = 0; i < count; i++) {
    scratch->parts[i] = {slots + i * stride, stride};
    memset(&scratch->messages[i], 0, sizeof(mmsghdr));
    if (withSources) {
      memset(&scratch->addresses[i], 0, sizeof(SocketAddress));
      scratch->messages[i].msg_hdr.msg_name = &scratch->addresses[i];
      scratch->messages[i].msg_hdr.msg_namelen = sizeof(SocketAddress);
    }
    scratch->messages[i].msg_hdr.msg_iov = &scratch->parts[i];
    scratch->messages[i].msg_hdr.msg_iovlen = 1;
  }
  int received;
  do {
    received = recvmmsg(fd, scratch->messages, static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  return received < 0 ? -errno : received;
}

// Who sent a datagram, as a row of src/types.ts SOURCE.
void writeSource(const SocketAddress& from, uint32_t* row) {
  memset(row, 0, kSourceWords * sizeof(uint32_t));
  if (from.any.sa_family == AF_INET) {
    row[SourceColumn::family] = 4;
    row[SourceColumn::port] = ntohs(from.v4.sin_port);
    memcpy(row + SourceColumn::address, &from.v4.sin_addr, sizeof(in_addr));
  } else if (from.any.sa_family == AF_INET6) {
    row[SourceColumn::family] = 6;
    row[SourceColumn::port] = ntohs(from.v6.sin6_port);
    memcpy(row + SourceColumn::address, &from.v6.sin6_addr, sizeof(in6_addr));
  }
}

}  // namespace

napi_value openUdp(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  UdpOptions options;
  if (!readArguments(env, info, argument) || !readUdpOptions(env, argument[0], &options)) return nullptr;
  const int fd = socket(options.address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return throwSystem(env, errno, "socket");
  const char* failed = prepare(fd, options);
  if (failed == nullptr) return toNumber(env, fd);
  const int error = errno;
  close(fd);
  return throwSystem(env, error, failed);
}

napi_value udpAddress(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments], result = nullptr, buffer = nullptr, address = nullptr;
  int fd = -1, protocol = 0;
  SocketAddress own;
  memset(&own, 0, sizeof own);
  socklen_t protocolBytes = sizeof protocol, ownBytes = sizeof own;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocolBytes) != 0) return throwSystem(env, errno, "getsockopt");
  if (getsockname(fd, &own.any, &ownBytes) != 0) return throwSystem(env, errno, "getsockname");
  const bool v6 = own.any.sa_family == AF_INET6;
  // 17 is UDP only among the protocols of IP; netlink has one of that number too.
  if (protocol != IPPROTO_UDP || (!v6 && own.any.sa_family != AF_INET)) return throwSystem(env, EOPNOTSUPP, "getsockopt");
  const size_t bytes = v6 ? sizeof(in6_addr) : sizeof(in_addr);
  const uint16_t port = ntohs(v6 ? own.v6.sin6_port : own.v4.sin_port);
  void* data = nullptr;
  if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) return nullptr;
  memcpy(data, v6 ? static_cast<const void*>(&own.v6.sin6_addr) : &own.v4.sin_addr, bytes);
  if (napi_create_typedarray(env, napi_uint8_array, bytes, buffer, 0, &address) != napi_ok || napi_create_object(env, &result) != napi_ok ||
      napi_set_named_property(env, result, "family", toNumber(env, v6 ? 6 : 4)) != napi_ok ||
      napi_set_named_property(env, result, "address", address) != napi_ok ||
      napi_set_named_property(env, result, "port", toNumber(env, port)) != napi_ok) {
    return nullptr;
  }
  return result;
}

napi_value socketDrops(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  uint32_t memory[SK_MEMINFO_VARS];
  memset(memory, 0, sizeof memory);
  socklen_t bytes = sizeof memory;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd)) return nullptr;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &bytes) != 0) return throwSystem(env, errno, "getsockopt");
  return toNumber(env, memory[SK_MEMINFO_DROPS]);
}

napi_value receive(napi_env env, napi_callback_info info) {
  napi_value argument[kMaxArguments];
  int fd = -1;
  Span<uint8_t> arena;
  Span<uint32_t> table;
  Span<uint32_t> sources = {nullptr, 0};
  int64_t start = 0, stride = 0, max = 0;
  if (!readArguments(env, info, argument) || !toDescriptor(env, argument[0], "fd", &fd) || !toBytes(env, argument[1], "arena", &arena) ||
      !toWords(env, argument[2], "table", &table)) {
    return nullptr;
  }
  const bool withSources = !isUndefined(env, argument[6]);
  if (withSources && !toWords(env, argument[6], "sources", &sources)) return nullptr;
  const int64_t bytes = addressableBytes(arena);
  if (!toInteger(env, argument[3], "start", 0, bytes, &start) || !toInteger(env, argument[4], "stride", 1, UINT32_MAX, &stride) ||
      !toInteger(env, argument[5], "max", 0, static_cast<int64_t>(table.length / kFrameWords), &max)) {
    return nullptr;
  }
  if (withSources && static_cast<uint64_t>(max) > sources.length / kSourceWords) return throwRange(env, "sources must have a row for each of max datagrams");
  // A division, so that no product can overflow.
  if (max > (bytes - start) / stride) return throwRange(env, "max slots of stride bytes must fit between start and the end of the arena");
  Scratch* scratch = scratchOf(env);
  int64_t count = 0;
  while (count < max) {
    const size_t wanted = static_cast<size_t>(max - count) < kMessages ? static_cast<size_t>(max - count) : kMessages;
    const uint64_t first = static_cast<uint64_t>(start + count * stride);
    const int received = receiveChunk(scratch, fd, arena.data + first, static_cast<size_t>(stride), wanted, withSources);
    if (received < 0) {
      if (count == 0 && received != -EAGAIN) return toNumber(env, received);
      break;
    }
    for (int i = 0; i < received; i++) {
      uint32_t* row = table.data + static_cast<size_t>(count + i) * kFrameWords;
      const mmsghdr& message = scratch->messages[i];
      row[FrameColumn::offset] = static_cast<uint32_t>(first + static_cast<uint64_t>(i) * static_cast<uint64_t>(stride));
      row[FrameColumn::length] = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0 ? kTruncated : message.msg_len;
      row[FrameColumn::fd] = static_cast<uint32_t>(fd);
      row[FrameColumn::error] = 0;
      if (withSources) writeSource(scratch->addresses[i], sources.data + static_cast<size_t>(count + i) * kSourceWords);
    }
    count += received;
    if (static_cast<size_t>(received) < wanted) break;
  }
  return toNumber(env, static_cast<double>(count));
}

}  // namespace packetio
