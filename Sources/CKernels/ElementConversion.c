#include "CKernels.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#define WITH_F16C __attribute__((target("avx2,f16c")))
// One binary for every x86-64: the loader-time check picks the version, no build flag does.
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WITH_F16C
#define MULTIVERSION
#endif

size_t ckernels_element_size(ckernels_element type) {
  switch (type) {
  case ckernels_f64: return 8;
  case ckernels_f32: return 4;
  case ckernels_f16:
  case ckernels_bf16: return 2;
  case ckernels_f8_e4m3:
  case ckernels_f8_e5m2: return 1;
  }
  return 0;
}

static inline float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

MULTIVERSION
static void widen_bf16(const uint16_t *source, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = bits_to_float((uint32_t)source[i] << 16);
}

static void widen_f16_portable(const _Float16 *source, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (float)source[i];
}

static void narrow_f16_portable(const float *source, _Float16 *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (_Float16)source[i];
}

#if defined(__x86_64__)
// Without F16C each of these conversions is a library call.
WITH_F16C static void widen_f16_hardware(const _Float16 *source, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (float)source[i];
}

WITH_F16C static void narrow_f16_hardware(const float *source, _Float16 *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (_Float16)source[i];
}

static int has_f16c(void) { return __builtin_cpu_supports("f16c") && __builtin_cpu_supports("avx2"); }
#endif

static void widen_f16(const _Float16 *source, float *destination, size_t count) {
#if defined(__x86_64__)
  if (has_f16c()) {
    widen_f16_hardware(source, destination, count);
    return;
  }
#endif
  widen_f16_portable(source, destination, count);
}

static void narrow_f16(const float *source, _Float16 *destination, size_t count) {
#if defined(__x86_64__)
  if (has_f16c()) {
    narrow_f16_hardware(source, destination, count);
    return;
  }
#endif
  narrow_f16_portable(source, destination, count);
}

// E4M3 as in "FP8 formats for deep learning" (Micikevicius et al. 2022): bias 7, no infinity, one NaN a sign.
static float e4m3_to_float(uint8_t bits) {
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  const int exponent = (bits >> 3) & 0xF, fraction = bits & 0x7;
  if (exponent == 0xF && fraction == 0x7) return bits_to_float(0x7FC00000u);
  if (exponent == 0) return sign * ldexpf((float)fraction, -9);
  return sign * ldexpf((float)(8 + fraction), exponent - 10);
}

static void widen_e4m3(const uint8_t *source, float *destination, size_t count) {
  float table[256];
  for (int bits = 0; bits < 256; bits++) table[bits] = e4m3_to_float((uint8_t)bits);
  for (size_t i = 0; i < count; i++) destination[i] = table[source[i]];
}

// E5M2 is the upper byte of an IEEE half.
static void widen_e5m2(const uint8_t *source, float *destination, size_t count) {
  float table[256];
  for (int bits = 0; bits < 256; bits++) {
    const uint16_t half = (uint16_t)(bits << 8);
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    widen_f16(&value, &table[bits], 1);
  }
  for (size_t i = 0; i < count; i++) destination[i] = table[source[i]];
}

void ckernels_widen(const void *source, ckernels_element type, float *destination, size_t count) {
  switch (type) {
  case ckernels_f64:
    for (size_t i = 0; i < count; i++) destination[i] = (float)((const double *)source)[i];
    break;
  case ckernels_f32: memcpy(destination, source, count * sizeof(float)); break;
  case ckernels_f16: widen_f16(source, destination, count); break;
  case ckernels_bf16: widen_bf16(source, destination, count); break;
  case ckernels_f8_e4m3: widen_e4m3(source, destination, count); break;
  case ckernels_f8_e5m2: widen_e5m2(source, destination, count); break;
  }
}

// The widened chunk stays in the first-level cache between the two passes over it.
enum { chunk_length = 1024 };

static void widen_chunk_to_double(const void *source, ckernels_element type, double *destination, size_t count) {
  if (type == ckernels_f64) {
    memcpy(destination, source, count * sizeof(double));
    return;
  }
  float widened[chunk_length];
  ckernels_widen(source, type, widened, count);
  for (size_t i = 0; i < count; i++) destination[i] = (double)widened[i];
}

static void difference_in_double(const void *base, ckernels_element base_type, const void *tuned,
                                 ckernels_element tuned_type, float *destination, size_t count) {
  double b[chunk_length], t[chunk_length];
  widen_chunk_to_double(base, base_type, b, count);
  widen_chunk_to_double(tuned, tuned_type, t, count);
  for (size_t i = 0; i < count; i++) destination[i] = (float)(t[i] - b[i]);
}

// The usual pair, in one pass; subtracted as floats like every other.
MULTIVERSION
static void difference_of_bf16(const uint16_t *base, const uint16_t *tuned, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++)
    destination[i] = bits_to_float((uint32_t)tuned[i] << 16) - bits_to_float((uint32_t)base[i] << 16);
}

static void difference_in_float(const void *base, ckernels_element base_type, const void *tuned,
                                ckernels_element tuned_type, float *destination, size_t count) {
  float b[chunk_length];
  ckernels_widen(base, base_type, b, count);
  ckernels_widen(tuned, tuned_type, destination, count);
  for (size_t i = 0; i < count; i++) destination[i] -= b[i];
}

void ckernels_difference(const void *base, ckernels_element base_type, const void *tuned,
                         ckernels_element tuned_type, float *destination, size_t count) {
  const int needs_double = base_type == ckernels_f64 || tuned_type == ckernels_f64;
  if (base_type == ckernels_bf16 && tuned_type == ckernels_bf16) {
    difference_of_bf16(base, tuned, destination, count);
    return;
  }
  const size_t base_size = ckernels_element_size(base_type), tuned_size = ckernels_element_size(tuned_type);
  for (size_t first = 0; first < count; first += chunk_length) {
    const size_t length = count - first < chunk_length ? count - first : chunk_length;
    const char *b = (const char *)base + first * base_size, *t = (const char *)tuned + first * tuned_size;
    if (needs_double)
      difference_in_double(b, base_type, t, tuned_type, destination + first, length);
    else
      difference_in_float(b, base_type, t, tuned_type, destination + first, length);
  }
}

MULTIVERSION
static void narrow_bf16(const float *source, uint16_t *destination, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = float_to_bits(source[i]);
    const uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    // A NaN must stay one: rounding could carry its fraction into an infinity.
    const int is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    destination[i] = (uint16_t)((is_nan ? (bits | 0x400000u) : rounded) >> 16);
  }
}

void ckernels_narrow(const float *source, ckernels_element type, void *destination, size_t count) {
  switch (type) {
  case ckernels_f32: memcpy(destination, source, count * sizeof(float)); break;
  case ckernels_bf16: narrow_bf16(source, destination, count); break;
  case ckernels_f16: narrow_f16(source, destination, count); break;
  default: break;
  }
}

MULTIVERSION
void ckernels_widen_block(const float *source, size_t stride, size_t rows, size_t columns, double *destination) {
  for (size_t row = 0; row < rows; row++)
    for (size_t column = 0; column < columns; column++)
      destination[row * columns + column] = (double)source[row * stride + column];
}
