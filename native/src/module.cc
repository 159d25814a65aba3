// What the addon exports, and the state that each environment has for itself.
#include "napi.h"

#include <stdlib.h>

namespace packetio {
namespace {

struct Entry {
  const char* name;
  napi_callback call;
};

constexpr Entry kEntries[] = {
    {"openTap", openTap},
    {"adoptTap", adoptTap},
    {"setTapPersistent", setTapPersistent},
    {"openUdp", openUdp},
    {"udpAddress", udpAddress},
    {"socketDrops", socketDrops},
    {"openNetlink", openNetlink},
    {"openWake", openWake},
    {"openPoll", openPoll},
    {"adopt", adopt},
    {"passOn", passOn},
    {"close", closeDescriptor},
    {"pollAdd", pollAdd},
    {"pollRemove", pollRemove},
    {"wait", wait},
    {"wake", wake},
    {"drainWake", drainWake},
    {"readTap", readTap},
    {"receive", receive},
    {"send", send},
    {"writeTaps", writeTaps},
    {"netlinkSend", netlinkSend},
    {"netlinkReceive", netlinkReceive},
    {"bpfLoad", bpfLoad},
    {"bpfAttach", bpfAttach},
    {"bpfAttached", bpfAttached},
    {"peerCredentials", peerCredentials},
    {"lockFile", lockFile},
    {"setParentDeathSignal", setParentDeathSignal},
    {"notify", notify},
    {"notifyOver", notifyOver},
};

void dropScratch(napi_env, void* data, void*) { free(data); }

}  // namespace
}  // namespace packetio

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  // calloc, not new: the addon then needs nothing of libstdc++ and loads beside any version of it.
  void* scratch = calloc(1, sizeof(packetio::Scratch));
  if (scratch == nullptr || napi_set_instance_data(env, scratch, packetio::dropScratch, nullptr) != napi_ok) {
    free(scratch);
    napi_throw_error(env, "ENOMEM", "packetio: no memory for the batch scratch");
    return nullptr;
  }
  for (const packetio::Entry& entry : packetio::kEntries) {
    napi_value call = nullptr;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.call, nullptr, &call) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, call) != napi_ok) {
      napi_throw_error(env, nullptr, "packetio: cannot make the table of functions");
      return nullptr;
    }
  }
  return exports;
}
