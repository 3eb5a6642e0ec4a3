#include "CKernels.h"

#include <math.h>

#if defined(__x86_64__)
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MULTIVERSION
#endif

// The lanes are part of the sums' definition, as in Reductions.c; chunks stay in the first-level cache.
enum { lanes = 16, chunk_length = 1024 };

typedef struct {
  double energies[lanes], base_energies[lanes];
  float greatest[lanes];
} lane_sums;

static inline void add(lane_sums *sums, int lane, float difference, float base) {
  const double wide = difference, wide_base = base;
  const float magnitude = fabsf(difference);
  sums->energies[lane] += wide * wide;
  sums->base_energies[lane] += wide_base * wide_base;
  sums->greatest[lane] = magnitude > sums->greatest[lane] ? magnitude : sums->greatest[lane];
}

MULTIVERSION
static void add_chunk(lane_sums *sums, const float *differences, const float *base, size_t count) {
  const size_t whole = count / lanes * lanes;
  for (size_t i = 0; i < whole; i += lanes)
    for (int lane = 0; lane < lanes; lane++) add(sums, lane, differences[i + lane], base[i + lane]);
  for (size_t i = whole; i < count; i++) add(sums, (int)(i - whole), differences[i], base[i]);
}

ckernels_comparison ckernels_compare(const void *base, ckernels_element base_type, const void *tuned,
                                     ckernels_element tuned_type, size_t count) {
  const size_t base_size = ckernels_element_size(base_type), tuned_size = ckernels_element_size(tuned_type);
  lane_sums sums = {{0}, {0}, {0}};
  float differences[chunk_length], widened[chunk_length];
  for (size_t first = 0; first < count; first += chunk_length) {
    const size_t length = count - first < chunk_length ? count - first : chunk_length;
    const char *b = (const char *)base + first * base_size, *t = (const char *)tuned + first * tuned_size;
    ckernels_difference(b, base_type, t, tuned_type, differences, length);
    ckernels_widen(b, base_type, widened, length);
    add_chunk(&sums, differences, widened, length);
  }
  ckernels_comparison result = {0, 0, 0};
  for (int lane = 0; lane < lanes; lane++) {
    result.energy += sums.energies[lane];
    result.base_energy += sums.base_energies[lane];
    result.largest = sums.greatest[lane] > result.largest ? sums.greatest[lane] : result.largest;
  }
  return result;
}
