// The descriptors that the keeper holds, and the datagrams that give and take them: lines as of sd_notify(3).
#include "keeper.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keeper {

namespace {

constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxRights = 253;  // SCM_MAX_FD of the kernel

struct Datagram {
  char text[kMaxTextBytes];
  size_t length;
  bool whole;  // nothing of the text or of the descriptors was cut off
  int fds[kMaxRights];
  size_t count;
};

struct Orders {
  bool ready, store, remove;
  const char* name;
  size_t nameLength;
};

Stored table[kMaxStored];
size_t used = 0;
size_t namesBytes = 0;  // as LISTEN_FDNAMES: each name with a ':' or NUL behind it
Datagram datagram;

void closeAll(const Datagram& from) {
  for (size_t i = 0; i < from.count; i++) close(from.fds[i]);
}

size_t countNamed(const char* name) {
  size_t count = 0;
  for (size_t i = 0; i < used; i++) count += strcmp(table[i].name, name) == 0 ? 1 : 0;
  return count;
}

void removeNamed(const char* name) {
  size_t kept = 0;
  for (size_t i = 0; i < used; i++) {
    if (strcmp(table[i].name, name) == 0) {
      close(table[i].fd);
      namesBytes -= strlen(name) + 1;
    } else {
      if (kept != i) table[kept] = table[i];
      kept++;
    }
  }
  used = kept;
}

// All of one datagram have one name and take the place of what had it; or none of them is stored.
void store(const Datagram& from, const char* name) {
  const size_t nameBytes = strlen(name) + 1, replaced = countNamed(name);
  if (used - replaced + from.count > kMaxStored || namesBytes + from.count * nameBytes - replaced * nameBytes > kMaxNamesBytes) {
    complain("%s: not stored, %zu descriptors are held already (at most %zu, with %zu bytes of names)", name, used, kMaxStored, kMaxNamesBytes);
    closeAll(from);
    return;
  }
  removeNamed(name);
  for (size_t i = 0; i < from.count; i++) {
    table[used].fd = from.fds[i];
    memcpy(table[used].name, name, nameBytes);
    used++;
  }
  namesBytes += from.count * nameBytes;
}

bool receiveDatagram(int socket) {
  alignas(cmsghdr) static char control[CMSG_SPACE(sizeof datagram.fds)];
  iovec part = {datagram.text, sizeof datagram.text};
  msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t length;
  do {
    length = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0) return false;
  datagram.length = static_cast<size_t>(length);
  datagram.whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  datagram.count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(datagram.fds + datagram.count, CMSG_DATA(header), count * sizeof(int));
    datagram.count += count;
  }
  return true;
}

bool is(const char* line, size_t length, const char* text) { return length == strlen(text) && memcmp(line, text, length) == 0; }

Orders parse(const char* text, size_t length) {
  Orders orders = {false, false, false, "stored", 6};  // the name that sd_notify(3) gives to one without
  constexpr char kName[] = "FDNAME=";
  constexpr size_t kNameBytes = sizeof kName - 1;
  for (size_t at = 0; at < length;) {
    const char* line = text + at;
    const void* newline = memchr(line, '\n', length - at);
    const size_t bytes = newline == nullptr ? length - at : static_cast<size_t>(static_cast<const char*>(newline) - line);
    if (is(line, bytes, "READY=1")) orders.ready = true;
    if (is(line, bytes, "FDSTORE=1")) orders.store = true;
    if (is(line, bytes, "FDSTOREREMOVE=1")) orders.remove = true;
    if (bytes >= kNameBytes && memcmp(line, kName, kNameBytes) == 0) {
      orders.name = line + kNameBytes;
      orders.nameLength = bytes - kNameBytes;
    }
    at += bytes + 1;
  }
  return orders;
}

// As text with its NUL; false for what could not stand in LISTEN_FDNAMES.
bool readName(const Orders& orders, char (&out)[kMaxNameBytes + 1]) {
  if (orders.nameLength == 0 || orders.nameLength > kMaxNameBytes) return false;
  for (size_t i = 0; i < orders.nameLength; i++) {
    const unsigned char byte = static_cast<unsigned char>(orders.name[i]);
    if (byte < 0x20 || byte == 0x7f || byte == ':') return false;
  }
  memcpy(out, orders.name, orders.nameLength);
  out[orders.nameLength] = 0;
  return true;
}

bool obey() {
  if (!datagram.whole) {
    complain("a datagram was cut off and is ignored: %zu bytes and %zu descriptors came", datagram.length, datagram.count);
    closeAll(datagram);
    return false;
  }
  const Orders orders = parse(datagram.text, datagram.length);
  char name[kMaxNameBytes + 1];
  const bool named = readName(orders, name);
  if (!named && (orders.store || orders.remove)) complain("FDNAME: not a name of 1 to %zu bytes without ':' and control characters", kMaxNameBytes);
  if (named && orders.remove) removeNamed(name);
  if (named && orders.store && datagram.count > 0) {
    store(datagram, name);
  } else {
    closeAll(datagram);
  }
  return orders.ready;
}

}  // namespace

size_t storedCount() { return used; }
Stored& storedAt(size_t index) { return table[index]; }

bool takeDatagrams(int socket, int limit) {
  bool ready = false;
  for (int i = 0; i < limit && receiveDatagram(socket); i++) ready = obey() || ready;
  return ready;
}

}  // namespace keeper
