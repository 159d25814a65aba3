// The checks of arguments: any value in, a C++ value or a pending TypeError or RangeError out.
#include "napi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace packetio {

namespace {

// The status of a throw is of no use: when it fails an exception is pending already (a worker that is being terminated).
void throwFormatted(napi_env env, napi_status (*raise)(napi_env, const char*, const char*), const char* code, const char* format,
                    va_list arguments) {
  char message[256];
  vsnprintf(message, sizeof message, format, arguments);
  raise(env, code, message);
}

template <typename T>
bool toSpan(napi_env env, napi_value value, const char* name, napi_typedarray_type wanted, const char* wantedName, Span<T>* out) {
  bool isTyped = false;
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;
  napi_value buffer = nullptr;
  bool isOwn = false;
  if (napi_is_typedarray(env, value, &isTyped) != napi_ok || !isTyped ||
      napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, nullptr) != napi_ok || type != wanted ||
      napi_is_arraybuffer(env, buffer, &isOwn) != napi_ok || !isOwn) {
    return throwType(env, "%s must be %s over memory that is not shared", name, wantedName);
  }
  // A detached buffer has no memory; Node then says length 0.
  out->data = static_cast<T*>(data);
  out->length = data == nullptr ? 0 : length;
  return true;
}

}  // namespace

Thrown throwType(napi_env env, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  throwFormatted(env, napi_throw_type_error, "ERR_INVALID_ARG_TYPE", format, arguments);
  va_end(arguments);
  return {};
}

Thrown throwRange(napi_env env, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  throwFormatted(env, napi_throw_range_error, "ERR_OUT_OF_RANGE", format, arguments);
  va_end(arguments);
  return {};
}

bool readArguments(napi_env env, napi_callback_info info, napi_value (&out)[kMaxArguments]) {
  size_t count = kMaxArguments;
  // What the caller left out comes as undefined.
  return napi_get_cb_info(env, info, &count, out, nullptr, nullptr) == napi_ok;
}

bool toInteger(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t* out) {
  double number = 0;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    return throwType(env, "%s must be a number", name);
  }
  // The comparison comes first: it is false for NaN, and it makes the conversion to an integer defined.
  const bool inside = number >= static_cast<double>(min) && number <= static_cast<double>(max);
  if (!inside || static_cast<double>(static_cast<int64_t>(number)) != number) {
    return throwRange(env, "%s must be an integer from %lld to %lld", name, static_cast<long long>(min), static_cast<long long>(max));
  }
  *out = static_cast<int64_t>(number);
  return true;
}

bool toDescriptor(napi_env env, napi_value value, const char* name, int* out) {
  int64_t number = 0;
  if (!toInteger(env, value, name, 0, INT32_MAX, &number)) return false;
  *out = static_cast<int>(number);
  return true;
}

bool toBoolean(napi_env env, napi_value value, const char* name, bool* out) {
  if (napi_get_value_bool(env, value, out) == napi_ok) return true;
  return throwType(env, "%s must be a boolean", name);
}

bool toText(napi_env env, napi_value value, const char* name, char* out, size_t size, size_t* length) {
  size_t needed = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &needed) != napi_ok) {
    return throwType(env, "%s must be a string", name);
  }
  if (needed >= size) {
    return throwRange(env, "%s must have at most %zu bytes, it has %zu", name, size - 1, needed);
  }
  if (napi_get_value_string_utf8(env, value, out, size, length) != napi_ok) {
    return throwType(env, "%s must be a string", name);
  }
  if (memchr(out, 0, *length) != nullptr) {
    return throwRange(env, "%s must not contain a NUL", name);
  }
  return true;
}

bool toBytes(napi_env env, napi_value value, const char* name, Span<uint8_t>* out) {
  return toSpan(env, value, name, napi_uint8_array, "a Uint8Array", out);
}

bool toWords(napi_env env, napi_value value, const char* name, Span<uint32_t>* out) {
  return toSpan(env, value, name, napi_uint32_array, "a Uint32Array", out);
}

bool toInts(napi_env env, napi_value value, const char* name, Span<int32_t>* out) {
  return toSpan(env, value, name, napi_int32_array, "an Int32Array", out);
}

bool getMember(napi_env env, napi_value object, const char* name, napi_value* out) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, object, &type) != napi_ok || type != napi_object) {
    return throwType(env, "options must be an object");
  }
  if (napi_get_named_property(env, object, name, out) == napi_ok) return true;
  return throwType(env, "options.%s cannot be read", name);
}

bool isUndefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

bool checkRange(napi_env env, size_t row, uint64_t offset, uint64_t length, size_t room) {
  if (offset <= room && length <= room - offset) return true;
  return throwRange(env, "row %zu: %llu bytes at %llu are outside the arena of %zu bytes", row, static_cast<unsigned long long>(length),
                    static_cast<unsigned long long>(offset), room);
}

napi_value toNumber(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

Scratch* scratchOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Scratch*>(data);
}

}  // namespace packetio
