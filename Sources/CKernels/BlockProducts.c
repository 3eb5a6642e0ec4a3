#include "CKernels.h"

#include <string.h>

// Products of a large matrix with a block of 16 to 128 vectors, at the speed of the processor's arithmetic.
//
// A BLAS copies both factors of every product into an order of its own. With blocks this narrow that copying took
// two fifths of the time of a Krylov step (OpenBLAS 0.3.21, AVX-512, 32 vectors), so these two products read the
// matrix where it lies. Each element of a result is one chain of fused multiply-adds in the order of its index,
// whatever the width of the vector registers: processors with AVX2 and with AVX-512 give the same bits.

// Rows of the matrix that one pass of a transposed product takes: with 48 columns they fit the first-level cache.
enum { transposed_rows = 96 };
// Columns of the matrix that one pass of a product takes: with 64 vectors they fit the second-level cache.
enum { product_columns = 512 };

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define VARIANT(name) name##_avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx2,fma")))
#define WIDTH 16
#define WIDEST_CHUNK 64
#define TILE_COLUMNS 48
#define TILE_VECTORS 8
#include "BlockProductsTemplate.h"

#define VARIANT(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define WIDEST_CHUNK 16
#define TILE_COLUMNS 24
#define TILE_VECTORS 4
#include "BlockProductsTemplate.h"
#endif

#define VARIANT(name) name##_portable
#define TARGET
#define WIDTH 4
#define WIDEST_CHUNK 16
#define TILE_COLUMNS 16
#define TILE_VECTORS 4
#include "BlockProductsTemplate.h"

int ckernels_has_avx512(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
#else
  return 0;
#endif
}

int ckernels_has_fma(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return 1;
#endif
}

#if defined(__x86_64__)
#define DISPATCH(name, ...)                                                                                  \
  do {                                                                                                       \
    if (ckernels_has_avx512())                                                                               \
      name##_avx512(__VA_ARGS__);                                                                            \
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                \
      name##_avx2(__VA_ARGS__);                                                                              \
    else                                                                                                     \
      name##_portable(__VA_ARGS__);                                                                          \
  } while (0)
#else
#define DISPATCH(name, ...) name##_portable(__VA_ARGS__)
#endif

void ckernels_block_product(const float *a, size_t stride, size_t rows, size_t columns, const float *x,
                            size_t block, int accumulates, float *y) {
  DISPATCH(product, a, stride, rows, columns, x, block, accumulates, y);
}

void ckernels_add_transposed_product(const float *a, size_t stride, size_t rows, size_t columns, const float *y,
                                     size_t block, float *z, size_t z_stride) {
  DISPATCH(add_transposed_product, a, stride, rows, columns, y, block, z, z_stride);
}
