#ifndef UNBRAID_CKERNELS_H
#define UNBRAID_CKERNELS_H

#include <stddef.h>
#include <stdint.h>

// Loops over the elements of weights that Swift's baseline code generation would make a library call an
// element, or that need a fixed order of summation. Every function picks its instruction set at run time.

// Element types of stored weights that have a meaning as a number.
typedef enum {
  ckernels_f64,
  ckernels_f32,
  ckernels_f16,
  ckernels_bf16,
  ckernels_f8_e4m3,
  ckernels_f8_e5m2
} ckernels_element;

// Bytes of one element.
size_t ckernels_element_size(ckernels_element type);

// destination[i] = float(source[i]); exact for every type but f64, which is rounded to nearest even.
void ckernels_widen(const void *source, ckernels_element type, float *destination, size_t count);

// destination[i] = tuned[i] - base[i], rounded once to float: subtracted in float, or in double if either
// side is f64.
void ckernels_difference(const void *base, ckernels_element base_type, const void *tuned,
                         ckernels_element tuned_type, float *destination, size_t count);

// Sums in double over a pair of tensors: of (tuned - base)², of base², and the largest |tuned - base|.
typedef struct {
  double energy, base_energy;
  float largest;
} ckernels_comparison;

// Compares two tensors in one pass over them; the energy of a pair with a NaN or an infinity is not finite.
ckernels_comparison ckernels_compare(const void *base, ckernels_element base_type, const void *tuned,
                                     ckernels_element tuned_type, size_t count);

// destination[i] = source[i] rounded to nearest even; type is f32, bf16 or f16. Overflow gives an infinity.
void ckernels_narrow(const float *source, ckernels_element type, void *destination, size_t count);

// Copies a row-major block of floats with the given stride between rows into a dense block of doubles.
void ckernels_widen_block(const float *source, size_t stride, size_t rows, size_t columns, double *destination);

// y (+)= A·x for A rows × columns with the given stride, x columns × block and y rows × block, both dense; adds to
// y if `accumulates`. `block` is a multiple of 16.
void ckernels_block_product(const float *a, size_t stride, size_t rows, size_t columns, const float *x,
                            size_t block, int accumulates, float *y);

// z += yᵀ·A for A rows × columns with the given stride, y rows × block and dense, z block × columns with a stride
// of its own. `block` is a multiple of 16.
void ckernels_add_transposed_product(const float *a, size_t stride, size_t rows, size_t columns, const float *y,
                                     size_t block, float *z, size_t z_stride);

// The path of the library in which calls to a function of this name end; null if there is none.
const char *ckernels_library_of(const char *symbol);

// Whether block products are chains of fused multiply-adds, which AVX2 and AVX-512 do alike.
int ckernels_has_fma(void);

// Whether the processor and the system have the AVX-512 that BLAS kernels use.
int ckernels_has_avx512(void);

// Sum of squares in double over 16 fixed lanes: the same value for the same elements on any machine.
double ckernels_sum_of_squares(const float *source, size_t count);

// Sum of the squares of the largest powers of two that are no larger than the elements' magnitudes: what rounding to a
// few bits adds to the sum of squares is a multiple of it. Zeros and floats below 2^-126 add nothing.
double ckernels_sum_of_binades(const void *source, ckernels_element type, size_t count);

// Index of the first NaN or infinity, or -1.
ptrdiff_t ckernels_first_nonfinite(const float *source, size_t count);

// Index of the element with the largest magnitude, the first of equals; -1 for count 0.
ptrdiff_t ckernels_largest_magnitude(const float *source, size_t count);

#endif
