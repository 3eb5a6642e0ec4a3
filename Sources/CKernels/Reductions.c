#include "CKernels.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MULTIVERSION
#endif

enum { lanes = 16 };

// The lanes are part of the result's definition: any vector width that divides 16 adds the same numbers in
// the same order. No fused multiply-add is needed to keep that true: the square of a float is exact in double.
MULTIVERSION
double ckernels_sum_of_squares(const float *source, size_t count) {
  double sums[lanes] = {0};
  const size_t whole = count / lanes * lanes;
  for (size_t i = 0; i < whole; i += lanes)
    for (int lane = 0; lane < lanes; lane++) {
      const double value = source[i + lane];
      sums[lane] += value * value;
    }
  for (size_t i = whole; i < count; i++) {
    const double value = source[i];
    sums[i - whole] += value * value;
  }
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++) sums[lane] += sums[lane + width];
  return sums[0];
}

// The same sum over powers of two, which the bits of a float before its fraction are.
MULTIVERSION
static void add_binades(double sums[lanes], const float *source, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, source + i, sizeof bits);
    bits &= 0x7F800000u;
    float binade;
    memcpy(&binade, &bits, sizeof binade);
    const double wide = binade;
    sums[i % lanes] += wide * wide;
  }
}

double ckernels_sum_of_binades(const void *source, ckernels_element type, size_t count) {
  enum { chunk_length = 1024 };
  double sums[lanes] = {0};
  float widened[chunk_length];
  const size_t size = ckernels_element_size(type);
  for (size_t first = 0; first < count; first += chunk_length) {
    const size_t length = count - first < chunk_length ? count - first : chunk_length;
    ckernels_widen((const char *)source + first * size, type, widened, length);
    add_binades(sums, widened, length);
  }
  double sum = 0;
  for (int lane = 0; lane < lanes; lane++) sum += sums[lane];
  return sum;
}

ptrdiff_t ckernels_first_nonfinite(const float *source, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(source[i])) return (ptrdiff_t)i;
  return -1;
}

ptrdiff_t ckernels_largest_magnitude(const float *source, size_t count) {
  if (count == 0) return -1;
  size_t largest = 0;
  float magnitude = fabsf(source[0]);
  for (size_t i = 1; i < count; i++)
    if (fabsf(source[i]) > magnitude) {
      magnitude = fabsf(source[i]);
      largest = i;
    }
  return (ptrdiff_t)largest;
}
